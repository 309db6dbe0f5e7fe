package host

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"
)

// LogLine is a record of a plugin's log: its own, or the host's about it.
type LogLine struct {
	Time    time.Time
	Level   slog.Level
	Message string
	Fields  []LogField // as they were logged
}

// LogField is an attribute, as text.
type LogField struct{ Key, Value string }

// maxRingText is how many bytes of a message or of a value the ring keeps, maxRingFields how many fields.
const (
	maxRingText   = 2048
	maxRingFields = 32
)

// ring keeps the last lines of a plugin's log. It is safe for concurrent use.
type ring struct {
	mu      sync.Mutex
	lines   []LogLine     // up to size; then the oldest is overwritten
	size    int           // log_lines
	next    uint64        // number of the line that comes next, from 0
	changed chan struct{} // closed, and replaced, when a line has come
}

func newRing(size int) *ring { return &ring{size: size, changed: make(chan struct{})} }

func (r *ring) add(l LogLine) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.lines) < r.size {
		r.lines = append(r.lines, l)
	} else {
		r.lines[r.next%uint64(r.size)] = l
	}
	r.next++
	close(r.changed)
	r.changed = make(chan struct{})
}

// since returns the lines from a number on that are still there, the number to go on with, and a channel that is closed when
// there is more.
func (r *ring) since(number uint64) (lines []LogLine, next uint64, more <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for n := max(number, r.next-uint64(len(r.lines))); n < r.next; n++ {
		lines = append(lines, r.lines[n%uint64(r.size)])
	}
	return lines, r.next, r.changed
}

// LogSince returns the lines of the plugin's log with the given number and above, of which the first of all has 0. Only the last
// log_lines are kept. next is the number to ask for when more is closed; next - number - len(lines) lines were missed.
func (p *Plugin) LogSince(number uint64) (lines []LogLine, next uint64, more <-chan struct{}) {
	return p.ring.since(number)
}

// ringHandler is a slog.Handler that keeps the records that it passes on.
type ringHandler struct {
	slog.Handler
	ring   *ring
	fields []LogField
	prefix string // of groups
}

// Handle implements slog.Handler.
func (h *ringHandler) Handle(ctx context.Context, r slog.Record) error {
	l := LogLine{Time: r.Time, Level: r.Level, Message: cut(r.Message), Fields: slices.Clone(h.fields)}
	r.Attrs(func(a slog.Attr) bool {
		l.Fields = appendField(l.Fields, h.prefix, a)
		return true
	})
	h.ring.add(l)
	return h.Handler.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (h *ringHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	c := *h
	c.Handler, c.fields = h.Handler.WithAttrs(attrs), slices.Clone(h.fields)
	for _, a := range attrs {
		c.fields = appendField(c.fields, h.prefix, a)
	}
	return &c
}

// WithGroup implements slog.Handler.
func (h *ringHandler) WithGroup(name string) slog.Handler {
	c := *h
	c.Handler, c.prefix = h.Handler.WithGroup(name), h.prefix+name+"."
	return &c
}

func appendField(fields []LogField, prefix string, a slog.Attr) []LogField {
	v := a.Value.Resolve()
	if v.Kind() == slog.KindGroup {
		for _, member := range v.Group() {
			fields = appendField(fields, prefix+a.Key+".", member)
		}
		return fields
	}
	if len(fields) == maxRingFields {
		return fields
	}
	return append(fields, LogField{Key: cut(prefix + a.Key), Value: cut(v.String())})
}

func cut(s string) string {
	if len(s) > maxRingText {
		return s[:maxRingText] + "..."
	}
	return s
}
