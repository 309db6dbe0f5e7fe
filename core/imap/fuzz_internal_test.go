package imap

import (
	"strings"
	"testing"

	"github.com/roostmail/roost/core/imapwire"
)

// FuzzFetch checks that whatever is read as a FETCH is answered by as many items, and that anything else is a BAD.
func FuzzFetch(f *testing.F) {
	for _, cmd := range fetchCommands {
		f.Add(strings.TrimLeft(cmd, "0123456789:*,"))
	}
	ft := newFetchTest(f, testMails[:3])
	f.Fuzz(func(t *testing.T, cmd string) {
		d := imapwire.NewDecoder([]byte(cmd+"\r\n"), imapwire.DefaultLimits)
		args, err := parseFetch(&d, false, true)
		if err != nil {
			if responseOf(err).status != "BAD" {
				t.Fatalf("%q: %v", cmd, err)
			}
			return
		}
		if len(args.items) == 0 {
			t.Fatalf("%q: no items", cmd)
		}
		out := &buffer{}
		fe := ft.srv.newFetch(t.Context(), ft.view, ft.ref, out)
		if err := fe.execute(args, ft.view.All()); err != nil {
			t.Fatalf("%q: %v", cmd, err)
		}
		out.Commit()
		for i := range args.items {
			if it := &args.items[i]; !it.first() && strings.Count(string(out.all), string(it.name)) < 3 {
				t.Fatalf("%q: no %q in %q", cmd, it.name, out.all)
			}
		}
	})
}

// FuzzSearch checks that whatever is read as a SEARCH decides every message.
func FuzzSearch(f *testing.F) {
	for _, w := range searchWords {
		f.Add("OR (" + w + " ALL) NOT " + w)
	}
	ft := newFetchTest(f, searchMails)
	f.Fuzz(func(t *testing.T, program string) {
		d := imapwire.NewDecoder([]byte(" "+program+"\r\n"), imapwire.DefaultLimits)
		key, err := parseSearch(&d, ft.view, noneSaved)
		if err != nil {
			if s := responseOf(err).status; s != "BAD" && s != "NO" {
				t.Fatalf("%q: %v", program, err)
			}
			return
		}
		s := ft.srv.newSearch(t.Context(), ft.view, ft.ref, key)
		if err := s.run(); err != nil || len(s.pending) > 0 {
			t.Fatalf("%q: %v, %d undecided", program, err, len(s.pending))
		}
	})
}
