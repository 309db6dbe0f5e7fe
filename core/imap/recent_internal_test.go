package imap

import (
	"testing"

	"github.com/roostmail/roost/core/mailbox"
	"github.com/roostmail/roost/core/session"
)

// TestRememberRun: one run has room in a session's State, as long as it grows at its end and there is no NOTIFY.
func TestRememberRun(t *testing.T) {
	for _, test := range []struct {
		what   string
		before mailbox.Run
		aux    uint64 // of NOTIFY
		run    mailbox.Run
		want   mailbox.Run
		kept   bool
	}{
		{"the first one", mailbox.Run{}, 0, mailbox.Run{First: 3, Next: 9}, mailbox.Run{First: 3, Next: 9}, true},
		{"the last UIDs", mailbox.Run{}, 0, mailbox.Run{First: 1<<32 - 3, Next: 1<<32 - 1}, mailbox.Run{First: 1<<32 - 3, Next: 1<<32 - 1}, true},
		{"the next UIDs", mailbox.Run{First: 3, Next: 9}, 0, mailbox.Run{First: 9, Next: 10}, mailbox.Run{First: 3, Next: 10}, true},
		{"with a gap", mailbox.Run{First: 3, Next: 9}, 0, mailbox.Run{First: 10, Next: 11}, mailbox.Run{First: 3, Next: 9}, false},
		{"the longest", mailbox.Run{}, 0, mailbox.Run{First: 1, Next: 1 << 24}, mailbox.Run{First: 1, Next: 1 << 24}, true},
		{"too long", mailbox.Run{}, 0, mailbox.Run{First: 1, Next: 1<<24 + 1}, mailbox.Run{}, false},
		{"too long in two steps", mailbox.Run{First: 1, Next: 1 << 24}, 0, mailbox.Run{First: 1 << 24, Next: 1<<24 + 1}, mailbox.Run{First: 1, Next: 1 << 24}, false},
		{"with NOTIFY", mailbox.Run{}, notifyOn, mailbox.Run{First: 3, Next: 9}, mailbox.Run{}, false},
		{"with a hub", mailbox.Run{}, notifyOthers | 77<<notifyShift, mailbox.Run{First: 3, Next: 9}, mailbox.Run{}, false},
	} {
		st := &session.State{Flags: flagRecent, Aux: test.aux}
		if !test.before.Empty() {
			rememberRun(st, test.before)
		}
		if kept := rememberRun(st, test.run); kept != test.kept {
			t.Errorf("%s: %t", test.what, kept)
		}
		if got := recentRun(st); got != test.want {
			t.Errorf("%s: %+v, want %+v", test.what, got, test.want)
		}
		forgetRun(st)
		if got := recentRun(st); got != (mailbox.Run{}) || st.Aux != test.aux {
			t.Errorf("%s: %+v and %x after it was forgotten", test.what, got, st.Aux)
		}
	}
}
