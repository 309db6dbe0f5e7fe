package checker

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// trace keeps the last lines of a client.
type trace struct {
	name  string
	all   io.Writer // gets all of them, nil = nobody looks
	lines []string
}

const (
	maxTrace     = 60  // lines
	maxTraceLine = 240 // bytes
)

func (t *trace) add(line string) {
	if len(line) > maxTraceLine {
		line = line[:maxTraceLine] + "…"
	}
	if len(t.lines) >= 2*maxTrace {
		t.lines = append(t.lines[:0], t.lines[maxTrace:]...)
	}
	line = strings.ReplaceAll(line, "\r\n", "␍␊")
	t.lines = append(t.lines, line)
	if t.all != nil {
		fmt.Fprintf(t.all, "%s %s %s\n", time.Now().Format("15:04:05.000000"), t.name, line)
	}
}

func (t *trace) String() string {
	return strings.Join(t.lines[max(0, len(t.lines)-maxTrace):], "\n")
}
