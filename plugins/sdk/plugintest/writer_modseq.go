package plugintest

import (
	"slices"

	"github.com/roostmail/roost/core/backend"
)

// modSeqCases are those of backend.ModSeqs, if the plugin announces it.
func (s *writerSuite) modSeqCases(t T) {
	if !s.plugin.Info().Has(backend.CapModSeqs) {
		if m, ok := s.plugin.(backend.ModSeqs); ok {
			_, err := m.Expunged(t.Context(), s.ref("INBOX"), [16]byte{}, 1)
			wantKind(t, "Expunged without the capability", err, backend.KindUnsupported)
		}
		lacks(t, "ModSeqs", backend.CapModSeqs)
		return
	}
	t.Run("EnableModSeqs", s.enableModSeqs)
	t.Run("Expunged", s.expunged)
}

func (s *writerSuite) modseqs() backend.ModSeqs { return s.plugin.(backend.ModSeqs) }

// enable makes the mailbox keep modseqs.
func (b *box) enable(t T) {
	t.Helper()
	changed, err := b.s.modseqs().EnableModSeqs(t.Context(), b.ref, b.snap.MailboxID, b.snap.Position)
	if err != nil {
		t.Fatalf("EnableModSeqs: %v", err)
	}
	b.follow(t, "EnableModSeqs", changed)
}

func (s *writerSuite) enableModSeqs(t T) {
	b := s.filled(t)
	was := b.snap.HighestModSeq
	b.enable(t)
	if b.snap.HighestModSeq != was {
		t.Errorf("HIGHESTMODSEQ is %d after EnableModSeqs, %d before", b.snap.HighestModSeq, was)
	}
	b.enable(t) // once more does nothing
	u := b.uids()
	b.set(t, backend.StoreAdd, backend.FlagDraft, nil, u[1])
	later := b.append(t, draft(mail("later", 200)))[0]
	modseqs := b.snap.Messages.ModSeqs
	if len(modseqs) != len(b.uids()) {
		t.Fatalf("%d modseqs of %d messages", len(modseqs), len(b.uids()))
	}
	for i, uid := range b.uids() {
		switch m := modseqs[i]; {
		case uid == later && m != b.snap.HighestModSeq:
			t.Errorf("the new message has modseq %d, want %d", m, b.snap.HighestModSeq)
		case uid == u[1] && (m <= was || m >= b.snap.HighestModSeq):
			t.Errorf("the changed message has modseq %d, want one between %d and %d", m, was, b.snap.HighestModSeq)
		case uid != later && uid != u[1] && m > was:
			t.Errorf("a message that did not change has modseq %d, want at most %d", m, was)
		}
	}
	_, err := s.modseqs().EnableModSeqs(t.Context(), b.ref, stranger, nil)
	wantKind(t, "EnableModSeqs with the id of another mailbox", err, backend.KindNotFound)
	_, err = s.modseqs().EnableModSeqs(t.Context(), s.ref(s.f.Missing), [16]byte{}, nil)
	wantKind(t, "EnableModSeqs of a missing mailbox", err, backend.KindNotFound)
}

// wantExpunged expects that these UIDs, of the messages that the case has made, were expunged since a modseq.
func (b *box) wantExpunged(t T, since uint64, all, want []uint32) {
	t.Helper()
	res, err := b.s.modseqs().Expunged(t.Context(), b.ref, b.snap.MailboxID, since)
	if err != nil {
		t.Fatalf("Expunged: %v", err)
	}
	if !res.Known {
		t.Fatalf("what was expunged since %d is not known, a moment later", since)
	}
	in := func(uid uint32) bool {
		return slices.ContainsFunc(res.UIDs, func(r backend.UIDRange) bool { return r.First <= uid && uid <= r.Last })
	}
	for _, uid := range all {
		if in(uid) != slices.Contains(want, uid) {
			t.Errorf("since %d: UID %d is in %v: %v", since, uid, res.UIDs, in(uid))
		}
	}
	if in(uint32(b.snap.UIDNext)) {
		t.Errorf("since %d: %v, UIDNEXT is %d", since, res.UIDs, b.snap.UIDNext)
	}
}

func (s *writerSuite) expunged(t T) {
	b := s.newBox(t, "a", "b", "c", "d", "e", "f")
	b.enable(t)
	all, first := slices.Clone(b.uids()), b.snap.HighestModSeq
	b.expunge(t, false, all[1], all[4])
	second := b.snap.HighestModSeq
	b.set(t, backend.StoreAdd, backend.FlagSeen, nil, all[0])
	third := b.snap.HighestModSeq
	b.expunge(t, false, all[5])
	if second <= first || third <= second || b.snap.HighestModSeq <= third {
		t.Fatalf("HIGHESTMODSEQ was %d, then %d, %d and %d: an expunge raises it (RFC 7162 §3.2)", first, second, third, b.snap.HighestModSeq)
	}
	for range 2 {
		b.wantExpunged(t, first, all, []uint32{all[1], all[4], all[5]})
		b.wantExpunged(t, second, all, []uint32{all[5]})
		b.wantExpunged(t, third, all, []uint32{all[5]})
		b.wantExpunged(t, b.snap.HighestModSeq, all, nil)
		if s.restart == nil {
			break
		}
		s.restart(t) // another process knows as well
	}
	_, err := s.modseqs().Expunged(t.Context(), b.ref, stranger, 1)
	wantKind(t, "Expunged of the id of another mailbox", err, backend.KindNotFound)
	_, err = s.modseqs().Expunged(t.Context(), s.ref(s.f.Missing), [16]byte{}, 1)
	wantKind(t, "Expunged of a missing mailbox", err, backend.KindNotFound)
}
