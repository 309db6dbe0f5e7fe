package host

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
)

func TestCopyLog(t *testing.T) {
	for _, c := range []struct {
		name, in string
		want     []string
	}{
		{"slog record", `{"time":"2026-01-02T03:04:05Z","level":"WARN","msg":"m","b":1,"a":{"x":"y"}}`, []string{`time=2026-01-02T03:04:05.000Z level=WARN msg=m plugin=p a=map[x:y] b=1`}},
		{"record below the level", `{"level":"DEBUG","msg":"m"}`, nil},
		{"record without level", `{"msg":"m"}`, []string{`level=INFO msg=m`}},
		{"JSON that is no record", `{"a":1}`, []string{`level=INFO msg="{\"a\":1}" plugin=p`}},
		{"plain line", "hello", []string{"level=INFO msg=hello plugin=p"}},
		{"crash", "before\npanic: x\n\ngoroutine 1 [running]:", []string{"level=INFO msg=before", `level=ERROR msg="panic: x"`, `level=ERROR msg="goroutine 1 [running]:"`}},
		{"long line", strings.Repeat("x", 3*maxLogLine) + "\nnext", []string{"msg=" + strings.Repeat("x", maxLogLine) + " ", "msg=next"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, way := range []string{"reader", "writer"} {
				var out bytes.Buffer
				log := slog.New(slog.NewTextHandler(&out, nil)).With("plugin", "p")
				if way == "reader" {
					copyLog(log, slog.LevelInfo, strings.NewReader(c.in))
				} else {
					w := &lineWriter{lineLogger: lineLogger{log: log, level: slog.LevelInfo}}
					for _, piece := range strings.SplitAfter(c.in+"\n", "e") {
						if n, err := w.Write([]byte(piece)); n != len(piece) || err != nil {
							t.Fatalf("Write: %d, %v", n, err)
						}
					}
				}
				lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
				if out.Len() == 0 {
					lines = nil
				}
				if len(lines) != len(c.want) {
					t.Fatalf("%s: %d lines, want %d: %.300q", way, len(lines), len(c.want), lines)
				}
				for i, want := range c.want {
					if !strings.Contains(lines[i], want) {
						t.Errorf("%s: line %.300q, want %.300q", way, lines[i], want)
					}
				}
			}
		})
	}
}
