package host

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestRing(t *testing.T) {
	var out bytes.Buffer
	r := newRing(3)
	log := slog.New(&ringHandler{Handler: slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelInfo}).WithAttrs([]slog.Attr{slog.String("plugin", "p")}), ring: r})
	if lines, next, _ := r.since(0); len(lines) != 0 || next != 0 {
		t.Errorf("empty: %v, %d", lines, next)
	}
	_, _, more := r.since(0)
	log.Debug("below the level")
	log.With("a", 1).WithGroup("g").Warn("first", "b", errors.New("x"), slog.Group("h", "c", true))
	select {
	case <-more:
	default:
		t.Error("more was not closed")
	}
	lines, next, _ := r.since(0)
	want := LogLine{Time: lines[0].Time, Level: slog.LevelWarn, Message: "first", Fields: []LogField{{"a", "1"}, {"g.b", "x"}, {"g.h.c", "true"}}}
	if len(lines) != 1 || next != 1 || !reflect.DeepEqual(lines[0], want) || time.Since(lines[0].Time) > time.Minute {
		t.Errorf("%+v, want %+v", lines, want)
	}
	if !strings.Contains(out.String(), "level=WARN msg=first plugin=p a=1 g.b=x g.h.c=true") {
		t.Errorf("passed on: %s", out.String())
	}
	for n := range 5 {
		log.Info(fmt.Sprint(n))
	}
	lines, next, _ = r.since(1)
	if len(lines) != 3 || lines[0].Message != "2" || lines[2].Message != "4" || next != 6 {
		t.Errorf("after an overflow: %+v, %d", lines, next)
	}
	if lines, _, _ = r.since(5); len(lines) != 1 || lines[0].Message != "4" {
		t.Errorf("the last: %+v", lines)
	}
	log.LogAttrs(context.Background(), slog.LevelInfo, strings.Repeat("x", 10_000), make([]slog.Attr, 100)...)
	lines, _, _ = r.since(6)
	if len(lines) != 1 || len(lines[0].Message) > maxRingText+3 || len(lines[0].Fields) > maxRingFields {
		t.Errorf("a huge record: %d bytes, %d fields", len(lines[0].Message), len(lines[0].Fields))
	}
}

func TestLatency(t *testing.T) {
	var l latency
	for _, d := range []time.Duration{0, 100 * time.Microsecond, 200 * time.Microsecond, time.Minute} {
		l.observe(d)
	}
	h := l.histogram()
	if h.Count != 4 || h.Sum != time.Minute+300*time.Microsecond || h.Buckets[0.0001] != 2 || h.Buckets[0.00025] != 3 || h.Buckets[30] != 3 {
		t.Errorf("%+v", h)
	}
}

// TestFigures: what Stats says of a process is what the kernel and the plugin say.
func TestFigures(t *testing.T) {
	h, _ := newHost(t)
	p := mustStart(t, h, testConfig(t))
	for range 10 {
		pidOf(t, p)
	}
	s := p.Stats()
	if s.Memory < 1<<20 || s.Memory > 1<<30 || s.CPU < 0 || s.CPU > time.Minute || s.Latency.Count != 10 || s.Latency.Sum <= 0 || s.Calls != 10 {
		t.Errorf("%+v", s)
	}
	lines, next, _ := p.LogSince(0)
	if len(lines) == 0 || next != uint64(len(lines)) {
		t.Fatalf("log: %+v", lines)
	}
	for _, l := range lines {
		if l.Message == "configured" && len(l.Fields) == 1 && l.Fields[0].Key == "marker" {
			return
		}
	}
	t.Errorf("no line of the plugin's own in %+v", lines)
}
