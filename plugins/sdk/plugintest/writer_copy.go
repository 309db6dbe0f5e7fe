package plugintest

import (
	"errors"
	"slices"

	"github.com/roostmail/roost/core/backend"
)

func (s *writerSuite) copyCases(t T) {
	t.Run("Copy", s.copySome)
	t.Run("CopyToTheSameMailbox", s.copyToSelf)
	t.Run("CopyNothing", s.copyNothing)
	t.Run("CopyToMissingMailbox", s.copyMissing)
	t.Run("CopyToAnotherNamespace", s.copyToSecond)
	t.Run("Move", s.moveSome)
	t.Run("MoveToTheSameMailbox", s.moveToSelf)
}

// copyTo copies messages, follows both mailboxes, and checks that the copies are equal to what was copied.
func (b *box) copyTo(t T, to *box, move bool, uids ...uint32) *backend.CopyResult {
	t.Helper()
	before, flags := b.fetch(t), map[uint32]string{}
	for _, uid := range b.uids() {
		flags[uid] = b.flags(uid)
	}
	next := uint32(to.snap.UIDNext)
	res, err := b.s.writer().Copy(t.Context(), &backend.CopyRequest{Mailbox: b.ref, MailboxID: b.snap.MailboxID, UIDs: uids, Destination: to.ref, Move: move, Since: b.snap.Position})
	if err != nil {
		t.Fatalf("Copy: %v", err)
	}
	b.follow(t, "Copy", res.Changed)
	if to != b {
		to.follow(t, "Copy, destination", nil)
	}
	if len(res.UIDs) != len(res.Source) || len(res.UIDs) > 0 && (res.UIDValidity != to.snap.UIDValidity || res.UIDs[0] < next) {
		t.Fatalf("Copy gives %+v, the destination has UIDVALIDITY %d, and had UIDNEXT %d", res, to.snap.UIDValidity, next)
	}
	copies := to.fetch(t)
	for i, uid := range res.UIDs {
		source := res.Source[i]
		if string(copies[uid].body) != string(before[source].body) || copies[uid].InternalDate != before[source].InternalDate {
			t.Errorf("UID %d is no copy of UID %d", uid, source)
		}
		if b.s.plugin.Info().Has(backend.CapObjectID) && copies[uid].GUID != before[source].GUID {
			t.Errorf("UID %d has GUID %q, that of which it is a copy has %q", uid, copies[uid].GUID, before[source].GUID)
		}
		if got := to.flags(uid); got != flags[source] {
			t.Errorf("UID %d has flags %q, that of which it is a copy has %q", uid, got, flags[source])
		}
		if still := slices.Contains(b.uids(), source); still == move {
			t.Errorf("UID %d in the source: %v", source, still)
		}
	}
	return res
}

// filled is a mailbox with flags and keywords.
func (s *writerSuite) filled(t T) *box {
	t.Helper()
	b := s.newBox(t, "a", "b", "c", "d")
	u := b.uids()
	b.set(t, backend.StoreAdd, backend.FlagSeen|backend.FlagAnswered, []string{"red", "blue"}, u[0])
	b.set(t, backend.StoreAdd, backend.FlagDeleted, []string{"blue"}, u[2])
	return b
}

func (s *writerSuite) copySome(t T) {
	from, to := s.filled(t), s.newBox(t, "there before")
	u := from.uids()
	to.set(t, backend.StoreAdd, 0, []string{"green", "blue"}, to.uids()[0]) // keywords have other numbers there
	res := from.copyTo(t, to, false, u[0], u[2], u[3]+1000)
	if !slices.Equal(res.Source, []uint32{u[0], u[2]}) {
		t.Errorf("%v were copied, want %v and %v", res.Source, u[0], u[2])
	}
	if len(from.uids()) != 4 || len(to.uids()) != 3 {
		t.Errorf("%d and %d messages, want 4 and 3", len(from.uids()), len(to.uids()))
	}
	if uint32(to.snap.FirstRecentUID) > res.UIDs[0] {
		t.Error("copies are not \\Recent")
	}
	// A copy is a message of its own.
	to.set(t, backend.StoreReplace, backend.FlagDraft, nil, res.UIDs[0])
	to.expunge(t, false, res.UIDs[1])
	from.unchanged(t, "a change of copies")
	from.expunge(t, false, u...)
	if got := to.texts(t); got[res.UIDs[0]] == "" || len(got) != 2 {
		t.Errorf("%d messages in the destination after those of the source were expunged, want 2", len(got))
	}
}

func (s *writerSuite) copyToSelf(t T) {
	b := s.filled(t)
	u := b.uids()
	b.copyTo(t, b, false, u[0], u[1])
	if len(b.uids()) != 6 {
		t.Errorf("%d messages, want 6", len(b.uids()))
	}
}

func (s *writerSuite) copyNothing(t T) {
	from, to := s.filled(t), s.newBox(t)
	for _, uids := range [][]uint32{nil, {from.uids()[3] + 1000}} {
		if res := from.copyTo(t, to, false, uids...); len(res.UIDs) != 0 {
			t.Errorf("%v were copied of %v", res.Source, uids)
		}
	}
	to.unchanged(t, "Copy of nothing")
	_, err := s.writer().Copy(t.Context(), &backend.CopyRequest{Mailbox: from.ref, MailboxID: stranger, UIDs: from.uids(), Destination: to.ref})
	wantKind(t, "Copy with the id of another mailbox", err, backend.KindNotFound)
	notDestination(t, err)
	to.unchanged(t, "Copy with the id of another mailbox")
	_, err = s.writer().Copy(t.Context(), &backend.CopyRequest{Mailbox: s.ref(s.f.Missing), UIDs: from.uids(), Destination: to.ref})
	wantKind(t, "Copy from a missing mailbox", err, backend.KindNotFound)
	notDestination(t, err)
}

// notDestination expects that an error does not blame the destination: the client would be told to create it.
func notDestination(t T, err error) {
	t.Helper()
	var e *backend.Error
	if errors.As(err, &e) && e.Message == "destination" {
		t.Errorf("%v: it is not the destination that is missing", err)
	}
}

func (s *writerSuite) copyMissing(t T) {
	b := s.filled(t)
	for _, move := range []bool{false, true} {
		_, err := s.writer().Copy(t.Context(), &backend.CopyRequest{Mailbox: b.ref, UIDs: b.uids(), Destination: s.ref(s.f.Missing), Move: move})
		wantKind(t, "Copy to a missing mailbox", err, backend.KindNotFound)
		var e *backend.Error
		if !errors.As(err, &e) || e.Message != "destination" {
			t.Errorf("Copy to a missing mailbox: %v, the message must be \"destination\"", err)
		}
		b.unchanged(t, "Copy to a missing mailbox")
	}
}

func (s *writerSuite) copyToSecond(t T) {
	if s.f.Second == "" {
		return
	}
	from, to := s.filled(t), s.newBoxIn(t, s.f.Second)
	u := from.uids()
	from.copyTo(t, to, false, u...)
	from.copyTo(t, to, true, u[1:3]...)
	if len(from.uids()) != 2 || len(to.uids()) != 6 {
		t.Errorf("%d and %d messages, want 2 and 6", len(from.uids()), len(to.uids()))
	}
	to.copyTo(t, from, true, to.uids()...)
}

func (s *writerSuite) moveSome(t T) {
	from, to := s.filled(t), s.newBox(t)
	u := from.uids()
	res := from.copyTo(t, to, true, u[1], u[2], u[3]+7)
	if !slices.Equal(res.Source, u[1:3]) || !slices.Equal(from.uids(), []uint32{u[0], u[3]}) || len(to.uids()) != 2 {
		t.Errorf("moved %v; the source has %v, the destination %v", res.Source, from.uids(), to.uids())
	}
	to.copyTo(t, from, true, to.uids()...)
	if len(to.uids()) != 0 || len(from.uids()) != 4 {
		t.Errorf("the source has %v, the destination %v after moving all back", from.uids(), to.uids())
	}
}

func (s *writerSuite) moveToSelf(t T) {
	b := s.filled(t)
	u := b.uids()
	res := b.copyTo(t, b, true, u[0], u[3])
	if want := append([]uint32{u[1], u[2]}, res.UIDs...); !slices.Equal(b.uids(), want) {
		t.Errorf("the mailbox has %v, want %v", b.uids(), want)
	}
}
