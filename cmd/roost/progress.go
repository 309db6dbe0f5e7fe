package main

import (
	"fmt"
	"io"
	"os"
	"strings"
)

// progress is a bar on a terminal, and nothing elsewhere. It is for one goroutine.
type progress struct {
	w    io.Writer // nil: nothing is shown
	what string
	last int // percent that is shown; -1: nothing
}

func newProgress(w io.Writer, what string) *progress {
	p := &progress{what: what, last: -1}
	if f, ok := w.(*os.File); ok {
		if st, err := f.Stat(); err == nil && st.Mode()&os.ModeCharDevice != 0 && os.Getenv("TERM") != "dumb" {
			p.w = f
		}
	}
	return p
}

// show shows that done of total is done.
func (p *progress) show(done, total int64) {
	if p.w == nil || total <= 0 {
		return
	}
	percent := int(100 * float64(done) / float64(total))
	if percent == p.last {
		return
	}
	p.last = percent
	const width = 40
	n := min(width, percent*width/100)
	fmt.Fprintf(p.w, "\r%s [%s%s] %3d %%", p.what, strings.Repeat("#", n), strings.Repeat(" ", width-n), percent)
}

// end removes the bar, if it is there; show may show it again.
func (p *progress) end() {
	if p.w != nil && p.last >= 0 {
		fmt.Fprintf(p.w, "\r\x1b[K")
	}
	p.last = -1
}
