package plugintest

import (
	"fmt"
	"slices"
	"sync"

	"github.com/roostmail/roost/core/backend"
)

func (s *writerSuite) storeCases(t T) {
	t.Run("StoreModes", s.storeModes)
	t.Run("StoreKeywords", s.storeKeywords)
	t.Run("StoreRaisesModSeqs", s.storeModSeqs)
	t.Run("StoreUnchangedSince", s.storeUnchangedSince)
	t.Run("StoreIgnoresUnknownUIDs", s.storeUnknown)
	t.Run("StoreInAnotherMailbox", s.storeStranger)
	t.Run("StoreAtTheSameTime", s.storeConcurrent)
	t.Run("ClaimRecent", s.claimRecent)
}

// store changes flags and follows the change.
func (b *box) store(t T, r backend.StoreRequest) *backend.StoreResult {
	t.Helper()
	r.Mailbox, r.MailboxID, r.Since = b.ref, b.snap.MailboxID, b.snap.Position
	res, err := b.s.writer().Store(t.Context(), &r)
	if err != nil {
		t.Fatalf("Store: %v", err)
	}
	b.follow(t, "Store", res.Changed)
	return res
}

// set is store without a condition.
func (b *box) set(t T, mode backend.StoreMode, flags uint8, keywords []string, uids ...uint32) {
	t.Helper()
	if res := b.store(t, backend.StoreRequest{UIDs: uids, Mode: mode, Flags: flags, Keywords: keywords, UnchangedSince: backend.AnyModSeq}); len(res.Modified) != 0 {
		t.Errorf("Store without a condition: %v are called modified", res.Modified)
	}
}

func (s *writerSuite) storeModes(t T) {
	b := s.newBox(t, "a", "b", "c")
	u := b.uids()
	const all = backend.FlagAnswered | backend.FlagFlagged | backend.FlagDeleted | backend.FlagSeen | backend.FlagDraft
	b.set(t, backend.StoreAdd, backend.FlagSeen|backend.FlagAnswered, nil, u[0], u[2])
	b.wantFlags(t, u[0], backend.FlagSeen|backend.FlagAnswered)
	b.wantFlags(t, u[1], 0)
	b.wantFlags(t, u[2], backend.FlagSeen|backend.FlagAnswered)
	b.set(t, backend.StoreRemove, backend.FlagSeen|backend.FlagDraft, nil, u[0])
	b.wantFlags(t, u[0], backend.FlagAnswered)
	b.set(t, backend.StoreReplace, backend.FlagDeleted, nil, u...)
	for _, uid := range u {
		b.wantFlags(t, uid, backend.FlagDeleted)
	}
	b.set(t, backend.StoreAdd, all, nil, u[1])
	b.wantFlags(t, u[1], all)
	b.set(t, backend.StoreReplace, 0, nil, u...)
	for _, uid := range u {
		b.wantFlags(t, uid, 0)
	}
	b.set(t, backend.StoreAdd, 0, nil, u...)          // nothing
	b.set(t, backend.StoreAdd, backend.FlagSeen, nil) // nobody
	if got := b.texts(t); len(got) != 3 {
		t.Errorf("%d messages after Store, want 3", len(got))
	}
}

func (s *writerSuite) storeKeywords(t T) {
	b := s.newBox(t, "a", "b")
	u := b.uids()
	b.set(t, backend.StoreAdd, backend.FlagSeen, []string{"red", "$MDNSent"}, u...)
	b.wantFlags(t, u[0], backend.FlagSeen, "red", "$MDNSent")
	b.set(t, backend.StoreRemove, 0, []string{"red", "never-heard-of"}, u[0])
	b.wantFlags(t, u[0], backend.FlagSeen, "$MDNSent")
	b.wantFlags(t, u[1], backend.FlagSeen, "red", "$MDNSent")
	b.set(t, backend.StoreReplace, 0, []string{"blue"}, u[1])
	b.wantFlags(t, u[1], 0, "blue")
	b.set(t, backend.StoreReplace, backend.FlagFlagged, nil, u[1])
	b.wantFlags(t, u[1], backend.FlagFlagged)
	var many []string
	for i := range 70 { // more than fit into one word of the column
		many = append(many, fmt.Sprintf("keyword%02d", i))
	}
	b.set(t, backend.StoreAdd, 0, many, u[0])
	b.wantFlags(t, u[0], backend.FlagSeen, append([]string{"$MDNSent"}, many...)...)
	b.wantFlags(t, u[1], backend.FlagFlagged)
	if !slices.Contains(b.snap.Keywords, "keyword69") {
		t.Errorf("the mailbox has keywords %v", b.snap.Keywords)
	}
}

func (s *writerSuite) storeModSeqs(t T) {
	b := s.newBox(t, "a", "b", "c")
	u := b.uids()
	for i := range 3 {
		before := b.snap.HighestModSeq
		b.set(t, backend.StoreAdd, uint8(1)<<i, nil, u[i])
		if b.snap.HighestModSeq <= before {
			t.Errorf("HIGHESTMODSEQ %d after a change, %d before", b.snap.HighestModSeq, before)
		}
	}
}

// storeUnchangedSince is RFC 7162 §3.1.3.
func (s *writerSuite) storeUnchangedSince(t T) {
	b := s.newBox(t, "a", "b", "c")
	u := b.uids()
	// From here on the mailbox has modseqs, if it makes them on demand.
	res := b.store(t, backend.StoreRequest{UIDs: u, Mode: backend.StoreAdd, Flags: backend.FlagSeen, UnchangedSince: b.snap.HighestModSeq})
	if len(res.Modified) != 0 {
		t.Errorf("%v are called modified, and nothing had changed", res.Modified)
	}
	since := b.snap.HighestModSeq
	b.set(t, backend.StoreAdd, backend.FlagAnswered, nil, u[1])
	res = b.store(t, backend.StoreRequest{UIDs: u, Mode: backend.StoreAdd, Flags: backend.FlagFlagged, Keywords: []string{"late"}, UnchangedSince: since})
	if !slices.Equal(res.Modified, u[1:2]) {
		t.Errorf("%v are called modified, want %v", res.Modified, u[1:2])
	}
	b.wantFlags(t, u[0], backend.FlagSeen|backend.FlagFlagged, "late")
	b.wantFlags(t, u[1], backend.FlagSeen|backend.FlagAnswered)
	b.wantFlags(t, u[2], backend.FlagSeen|backend.FlagFlagged, "late")
	res = b.store(t, backend.StoreRequest{UIDs: append(slices.Clone(u), u[2]+1000), Mode: backend.StoreReplace, UnchangedSince: 0})
	if !slices.Equal(res.Modified, u) {
		t.Errorf("UNCHANGEDSINCE 0: %v are called modified, want %v", res.Modified, u)
	}
	b.wantFlags(t, u[1], backend.FlagSeen|backend.FlagAnswered)
}

func (s *writerSuite) storeUnknown(t T) {
	b := s.newBox(t, "a", "b", "c")
	u := b.uids()
	b.expunge(t, false, u[1])
	b.set(t, backend.StoreAdd, backend.FlagSeen, nil, u[0], u[1], u[2], u[2]+1, 1<<32-2)
	b.wantFlags(t, u[0], backend.FlagSeen)
	b.wantFlags(t, u[2], backend.FlagSeen)
	if len(b.uids()) != 2 {
		t.Errorf("the mailbox has %v", b.uids())
	}
}

func (s *writerSuite) storeStranger(t T) {
	b := s.newBox(t, "a")
	r := &backend.StoreRequest{Mailbox: b.ref, MailboxID: stranger, UIDs: b.uids(), Mode: backend.StoreAdd, Flags: backend.FlagSeen, UnchangedSince: backend.AnyModSeq}
	_, err := s.writer().Store(t.Context(), r)
	wantKind(t, "Store with the id of another mailbox", err, backend.KindNotFound)
	b.unchanged(t, "Store with the id of another mailbox")
	r.Mailbox = s.ref(s.f.Missing)
	_, err = s.writer().Store(t.Context(), r)
	wantKind(t, "Store in a missing mailbox", err, backend.KindNotFound)
	r.Mailbox, r.MailboxID = b.ref, [16]byte{}
	if res, err := s.writer().Store(t.Context(), r); err != nil || res.Changed != nil {
		t.Errorf("Store without id and position: %v, changes %v", err, res)
	}
	b.follow(t, "Store", nil)
	b.wantFlags(t, b.uids()[0], backend.FlagSeen)
}

// storeConcurrent lets several change flags of the same messages: none of the changes is lost.
func (s *writerSuite) storeConcurrent(t T) {
	b := s.newBox(t, "a", "b", "c")
	u := b.uids()
	flags := []uint8{backend.FlagAnswered, backend.FlagFlagged, backend.FlagDeleted, backend.FlagSeen, backend.FlagDraft}
	var want []string
	var wg sync.WaitGroup
	for i, flag := range flags {
		keyword := fmt.Sprint("writer", i)
		want = append(want, keyword)
		wg.Go(func() {
			for range 5 {
				for _, mode := range []backend.StoreMode{backend.StoreRemove, backend.StoreAdd} {
					_, err := s.writer().Store(t.Context(), &backend.StoreRequest{Mailbox: b.ref, UIDs: u, Mode: mode, Flags: flag, Keywords: []string{keyword}, UnchangedSince: backend.AnyModSeq})
					if err != nil {
						t.Errorf("Store: %v", err)
					}
				}
			}
		})
	}
	wg.Wait()
	b.follow(t, "Store by several at once", nil)
	for _, uid := range u {
		b.wantFlags(t, uid, 0x1f, slices.Clone(want)...)
	}
}

func (s *writerSuite) claimRecent(t T) {
	b := s.newBox(t, "a", "b")
	claim := func(first, next uint32) {
		t.Helper()
		res, err := s.writer().ClaimRecent(t.Context(), b.ref, b.snap.MailboxID, b.snap.Position)
		if err != nil {
			t.Fatalf("ClaimRecent: %v", err)
		}
		b.follow(t, "ClaimRecent", res.Changed)
		if res.First > first && res.First != res.Next || res.Next != next && res.First != res.Next || (res.First == res.Next) != (first == next) {
			t.Errorf("claimed %d to %d, want %d to %d", res.First, res.Next, first, next)
		}
		if uint32(b.snap.FirstRecentUID) < uint32(b.snap.UIDNext) {
			t.Errorf("messages from %d on are \\Recent after a claim, UIDNEXT is %d", b.snap.FirstRecentUID, b.snap.UIDNext)
		}
	}
	next := uint32(b.snap.UIDNext)
	claim(b.uids()[0], next)
	claim(next, next)
	later := b.append(t, draft(mail("c", 200)))[0]
	if uint32(b.snap.FirstRecentUID) > later {
		t.Error("a message that came after the claim is not \\Recent")
	}
	claim(later, later+1)
	_, err := s.writer().ClaimRecent(t.Context(), b.ref, stranger, nil)
	wantKind(t, "ClaimRecent with the id of another mailbox", err, backend.KindNotFound)
	_, err = s.writer().ClaimRecent(t.Context(), s.ref(s.f.Missing), [16]byte{}, nil)
	wantKind(t, "ClaimRecent in a missing mailbox", err, backend.KindNotFound)
}
