package backend

import (
	"bytes"
	"context"
	"log/slog"
	"testing"
)

func TestOriginGoesThroughOtherContexts(t *testing.T) {
	o := Origin{Request: 7, User: "jane"}
	ctx, cancel := context.WithCancel(context.WithValue(WithOrigin(t.Context(), o), requestIDKey{}, [16]byte{1}))
	cancel()
	if got := OriginOf(context.WithoutCancel(ctx)); got != o {
		t.Errorf("got %+v", got)
	}
	if _, ok := RequestID(WithOrigin(ctx, Origin{})); !ok {
		t.Error("other values are hidden")
	}
	if got := OriginOf(t.Context()); got != (Origin{}) {
		t.Errorf("of no origin: %+v", got)
	}
}

func TestLogOrigin(t *testing.T) {
	var b bytes.Buffer
	log := slog.New(LogOrigin(slog.NewTextHandler(&b, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey || a.Key == slog.LevelKey {
			return slog.Attr{}
		}
		return a
	}}))).With("plugin", "p")
	ctx := WithOrigin(t.Context(), Origin{Request: 0xabc, User: "jane"})
	log.InfoContext(ctx, "one")
	log.InfoContext(ctx, "two", "user", "joe")
	log.Info("three")
	log.InfoContext(WithOrigin(t.Context(), Origin{Request: 1}), "four")
	const want = "msg=one plugin=p user=jane request=0000000000000abc\n" +
		"msg=two plugin=p user=joe request=0000000000000abc\n" +
		"msg=three plugin=p\n" +
		"msg=four plugin=p request=0000000000000001\n"
	if b.String() != want {
		t.Errorf("got\n%swant\n%s", b.String(), want)
	}
	if n, err := ParseRequest(FormatRequest(0xabc)); n != 0xabc || err != nil {
		t.Errorf("parsed %x, %v", n, err)
	}
}
