package imap

import (
	"strings"
	"testing"

	"github.com/roostmail/roost/core/imapwire"
	"github.com/roostmail/roost/core/mailbox"
)

// filtersOf are filters from "name=program" lines.
func filtersOf(lines string) *filters {
	all := map[string]string{}
	for line := range strings.SplitSeq(lines, "\n") {
		name, program, _ := strings.Cut(line, "=")
		all[name] = program
	}
	return &filters{load: func(name string) (string, bool, error) {
		program, found := all[name]
		return program, found, nil
	}}
}

// TestFilterText: what is kept of a program with filters is what they stand for, with UIDs (RFC 5267 §4.3).
func TestFilterText(t *testing.T) {
	ft := newFetchTest(t, searchMails)
	for _, c := range []struct{ filters, program, want string }{
		{"a=SEEN", "FILTER a", "(SEEN)"},
		{"a=SEEN", "NOT FILTER a DRAFT", "NOT (SEEN) DRAFT"},
		{"a=OR FILTER b ALL\nb=UNSEEN FLAGGED", "(FILTER a) 1", "((OR (UNSEEN FLAGGED) ALL)) UID 1"},
		{"a=1:2 SEEN", "OR FILTER a FILTER a", "OR (UID 1:2 SEEN) (UID 1:2 SEEN)"},
	} {
		d := imapwire.NewDecoder([]byte(" "+c.program+"\r\n"), imapwire.DefaultLimits)
		p := searchParser{d: &d, view: ft.view, saved: noneSaved, filters: filtersOf(c.filters)}
		if _, err := p.parse([]byte("UTF-8")); err != nil || p.text() != c.want {
			t.Errorf("%q with %q: %q, %v; want %q", c.program, c.filters, p.text(), err, c.want)
		}
	}
}

// FuzzFilters expands anything: it ends, and what is kept of it is read as the same again.
func FuzzFilters(f *testing.F) {
	f.Add("a=FILTER a", "FILTER a")
	f.Add("a=OR FILTER b FILTER b\nb=FILTER c FILTER c\nc=SEEN", "NOT FILTER a")
	f.Add("a=OR SMALLER\nb={3}\nc=1:* UID 1", "FILTER a FILTER b FILTER c")
	f.Fuzz(func(t *testing.T, lines, program string) {
		parse := func(program string, with *filters) (*searchParser, error) {
			d := imapwire.NewDecoder([]byte(" "+program+"\r\n"), imapwire.DefaultLimits)
			p := &searchParser{d: &d, view: &mailbox.View{}, saved: noneSaved, filters: with}
			_, err := p.parse([]byte("UTF-8"))
			return p, err
		}
		p, err := parse(program, filtersOf(lines))
		if err != nil {
			if s := responseOf(err).status; s != "BAD" && s != "NO" {
				t.Fatalf("%q: %v", program, err)
			}
			return
		}
		again, err := parse(p.text(), nil)
		if err != nil {
			if !strings.Contains(err.Error(), "nesting") {
				t.Fatalf("%q became %q: %v", program, p.text(), err)
			}
		} else if again.text() != p.text() {
			t.Errorf("%q became %q, and that %q", program, p.text(), again.text())
		}
	})
}
