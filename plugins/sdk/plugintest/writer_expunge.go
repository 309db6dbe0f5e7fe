package plugintest

import (
	"slices"
	"sync"

	"github.com/roostmail/roost/core/backend"
)

func (s *writerSuite) expungeCases(t T) {
	t.Run("Expunge", s.expungeSome)
	t.Run("ExpungeOnlyDeleted", s.expungeOnlyDeleted)
	t.Run("ExpungeInAnotherMailbox", s.expungeStranger)
	t.Run("ExpungeAtTheSameTime", s.expungeConcurrent)
	t.Run("ChangesOverManyWrites", s.longHistory)
}

// expunge removes messages, follows the change, and returns those that it removed.
func (b *box) expunge(t T, onlyDeleted bool, uids ...uint32) []uint32 {
	t.Helper()
	before := b.uids()
	res, err := b.s.writer().Expunge(t.Context(), &backend.ExpungeRequest{Mailbox: b.ref, MailboxID: b.snap.MailboxID, UIDs: uids, OnlyDeleted: onlyDeleted, Since: b.snap.Position})
	if err != nil {
		t.Fatalf("Expunge: %v", err)
	}
	b.follow(t, "Expunge", res.Changed)
	left := slices.DeleteFunc(slices.Clone(before), func(uid uint32) bool { return slices.Contains(res.Expunged, uid) })
	if !slices.Equal(left, b.uids()) || len(left)+len(res.Expunged) != len(before) {
		t.Errorf("Expunge says that it removed %v; the mailbox had %v, and has %v", res.Expunged, before, b.uids())
	}
	return res.Expunged
}

func (s *writerSuite) expungeSome(t T) {
	b := s.filled(t)
	u, next := b.uids(), b.snap.UIDNext
	if got := b.expunge(t, false, u[0], u[1], u[3]+5); !slices.Equal(got, u[:2]) {
		t.Errorf("%v were removed, want %v", got, u[:2])
	}
	if got := b.expunge(t, false, u[0], u[1]); len(got) != 0 {
		t.Errorf("%v were removed a second time", got)
	}
	if got := b.expunge(t, false); len(got) != 0 {
		t.Errorf("%v were removed, and none was named", got)
	}
	b.expunge(t, false, u[2:]...)
	if b.snap.UIDNext != next {
		t.Errorf("UIDNEXT is %d after an expunge, %d before", b.snap.UIDNext, next)
	}
	if uid := b.append(t, draft(mail("new", 200)))[0]; uid < uint32(next) {
		t.Errorf("UID %d is given again", uid)
	}
	b.texts(t)
}

func (s *writerSuite) expungeOnlyDeleted(t T) {
	b := s.filled(t) // its third message has \Deleted
	u := b.uids()
	if got := b.expunge(t, true, u[0], u[1]); len(got) != 0 {
		t.Errorf("%v were removed without \\Deleted", got)
	}
	if got := b.expunge(t, true, u...); !slices.Equal(got, u[2:3]) {
		t.Errorf("%v were removed, want %v", got, u[2:3])
	}
	b.set(t, backend.StoreAdd, backend.FlagDeleted, nil, u[0], u[1])
	if got := b.expunge(t, true, u[1]); !slices.Equal(got, u[1:2]) { // UID EXPUNGE, RFC 4315 §2.1
		t.Errorf("%v were removed, want only %v", got, u[1:2])
	}
}

func (s *writerSuite) expungeStranger(t T) {
	b := s.filled(t)
	_, err := s.writer().Expunge(t.Context(), &backend.ExpungeRequest{Mailbox: b.ref, MailboxID: stranger, UIDs: b.uids()})
	wantKind(t, "Expunge with the id of another mailbox", err, backend.KindNotFound)
	b.unchanged(t, "Expunge with the id of another mailbox")
	_, err = s.writer().Expunge(t.Context(), &backend.ExpungeRequest{Mailbox: s.ref(s.f.Missing), UIDs: b.uids()})
	wantKind(t, "Expunge in a missing mailbox", err, backend.KindNotFound)
}

// expungeConcurrent: each message is removed by one of those who want to.
func (s *writerSuite) expungeConcurrent(t T) {
	b := s.newBox(t, "a", "b", "c", "d", "e", "f", "g", "h")
	u := b.uids()
	got := make([][]uint32, 4)
	var wg sync.WaitGroup
	for i := range got {
		wg.Go(func() {
			for k := range u {
				res, err := s.writer().Expunge(t.Context(), &backend.ExpungeRequest{Mailbox: b.ref, UIDs: u[k:min(k+2, len(u))]})
				if err != nil {
					t.Errorf("Expunge: %v", err)
					return
				}
				got[i] = append(got[i], res.Expunged...)
			}
		})
	}
	wg.Wait()
	all := slices.Sorted(slices.Values(slices.Concat(got...)))
	if !slices.Equal(all, u) {
		t.Errorf("%v were removed by several at once, want %v, each once", all, u)
	}
	b.follow(t, "Expunge by several at once", nil)
	if len(b.uids()) != 0 {
		t.Errorf("%v are left", b.uids())
	}
}

// longHistory asks for all changes since a position at once, and after a restart.
func (s *writerSuite) longHistory(t T) {
	b := s.filled(t)
	old := b.snap
	u := b.uids()
	b.set(t, backend.StoreAdd, backend.FlagFlagged, []string{"history"}, u[1], u[3])
	b.expunge(t, false, u[0])
	later := b.append(t, draft(mail("e", 300)), draft(mail("f", 300)))
	b.set(t, backend.StoreReplace, backend.FlagSeen, []string{"later"}, u[3], later[0])
	b.copyTo(t, b, false, u[1], later[0])
	b.expunge(t, false, later[1])
	want := viewOf(b.snap)
	for _, restarted := range []bool{false, true} {
		if restarted {
			s.restart(t)
		}
		c, err := s.storage().Changes(t.Context(), b.ref, old.Position)
		if err != nil {
			t.Fatalf("Changes: %v", err)
		}
		if got := after(t, "Changes", old, c); !got.equal(want) {
			t.Errorf("Changes leads to %v, Open gives %v (after a restart: %v)", got, want, restarted)
		}
	}
	b.unchanged(t, "a restart")
	b.texts(t)
}
