package host

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"sort"
	"time"
)

// maxLogLine is the most bytes of one line of a plugin's output that are kept; the rest of the line is dropped.
const maxLogLine = 64 << 10

// lineLogger makes records of the lines of a plugin's output: of an slog JSON line
// with its own level, time and attributes, of any other line as message of the
// given level. Go's report of a crash becomes records of level error.
type lineLogger struct {
	log     *slog.Logger
	level   slog.Level
	crashed bool
}

func (l *lineLogger) line(line []byte) {
	if len(line) == 0 {
		return
	}
	ctx := context.Background()
	if record, ok := parseRecord(line); ok {
		if l.log.Enabled(ctx, record.Level) {
			_ = l.log.Handler().Handle(ctx, record)
		}
		return
	}
	l.crashed = l.crashed || bytes.HasPrefix(line, []byte("panic: ")) || bytes.HasPrefix(line, []byte("fatal error: "))
	level := l.level
	if l.crashed {
		level = slog.LevelError
	}
	l.log.Log(ctx, level, string(line))
}

// copyLog logs the lines of r until its end. A line is cut after maxLogLine bytes.
func copyLog(log *slog.Logger, level slog.Level, r io.Reader) {
	l := lineLogger{log: log, level: level}
	br := bufio.NewReaderSize(r, maxLogLine)
	for {
		line, more, err := br.ReadLine()
		if err != nil {
			return
		}
		l.line(line)
		for more && err == nil {
			_, more, err = br.ReadLine()
		}
	}
}

// lineWriter is an io.Writer that logs the lines that are written to it by one goroutine.
type lineWriter struct {
	lineLogger
	part []byte // the line that has not ended yet
}

func (w *lineWriter) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 {
		line, rest, ended := bytes.Cut(p, []byte("\n"))
		w.part = append(w.part, line[:min(len(line), maxLogLine-len(w.part))]...)
		if ended {
			w.line(w.part)
			w.part = w.part[:0]
		}
		p = rest
	}
	return n, nil
}

// parseRecord parses a line of slog's JSON handler. The order of attributes is not kept.
func parseRecord(line []byte) (slog.Record, bool) {
	if line[0] != '{' {
		return slog.Record{}, false
	}
	var fields map[string]any
	if json.Unmarshal(line, &fields) != nil {
		return slog.Record{}, false
	}
	msg, ok := fields[slog.MessageKey].(string)
	if !ok {
		return slog.Record{}, false
	}
	var level slog.Level
	if text, ok := fields[slog.LevelKey].(string); !ok || level.UnmarshalText([]byte(text)) != nil {
		level = slog.LevelInfo
	}
	at := time.Now()
	if text, ok := fields[slog.TimeKey].(string); ok {
		if t, err := time.Parse(time.RFC3339Nano, text); err == nil {
			at = t
		}
	}
	names := make([]string, 0, len(fields))
	for name := range fields {
		if name != slog.MessageKey && name != slog.LevelKey && name != slog.TimeKey {
			names = append(names, name)
		}
	}
	sort.Strings(names)
	record := slog.NewRecord(at, level, msg, 0)
	for _, name := range names {
		record.AddAttrs(slog.Any(name, fields[name]))
	}
	return record, true
}

// lowestLevel returns the lowest level that log writes.
func lowestLevel(log *slog.Logger) slog.Level {
	for _, l := range []slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelWarn} {
		if log.Enabled(context.Background(), l) {
			return l
		}
	}
	return slog.LevelError
}
