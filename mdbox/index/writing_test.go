package index_test

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/roostmail/roost/mdbox/index"
	"github.com/roostmail/roost/mdbox/mdboxtest"
)

// What is written at random is read back the same: by the writer itself, by a
// new reader, and by a Dovecot, which changes the mailbox in between.
func TestDovecotReadsWhatWasWritten(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	store := mdboxtest.MakeStore(t, "--content", "tiny")
	s := newSession(t, store, "INBOX", seed, func(w *index.Writing) {
		w.RotateMaxSize, w.RewriteMaxLog, w.RewriteMinLog = 4000, 1500, 500
	})
	modSeqs := false
	for round := range 12 {
		for range 15 {
			if err := s.step(); err != nil {
				t.Fatalf("round %d: %v", round, err)
			}
		}
		y, err := index.Open(index.Options{Dir: store.Mailbox("INBOX")})
		if err != nil {
			t.Fatal(err)
		}
		if a, b := snapshot(s.box), snapshot(y); !slices.Equal(a, b) {
			t.Fatalf("round %d: written\n%x, opened anew\n%x", round, a, b)
		}
		if changed, err := s.box.Refresh(); changed || err != nil {
			t.Errorf("round %d: Refresh after one's own writes: %v, %v", round, changed, err)
		}
		modSeqs = modSeqs || s.box.State().HasModSeqs()
		want := store.Describe(t, "INBOX", modSeqs) // carries out requests
		if _, err := s.box.Refresh(); err != nil {
			t.Fatal(err)
		}
		compare(t, s.box, want)
		for _, x := range []*index.Index{s.box, y} {
			if err := x.State().Check(); err != nil {
				t.Errorf("round %d: %v", round, err)
			}
		}
		if t.Failed() {
			t.Fatalf("round %d", round)
		}
		store.IMAP(t, randomCommands(s.rnd, s.box.State().UIDs())...)
		if _, err := s.box.Refresh(); err != nil {
			t.Fatal(err)
		}
	}
	noErrors(t, store)
	t.Logf("operations: %v, log %v", s.done, s.box.State().Pos())
}

// An index that is made anew from what is in it is the same mailbox for Dovecot, also for
// a session that has it open.
func TestDovecotReadsAResetIndex(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	store := mdboxtest.MakeStore(t, "--content", "tiny")
	s := newSession(t, store, "INBOX", seed, nil)
	for range 40 {
		if err := s.step(); err != nil {
			t.Fatal(err)
		}
	}
	before := store.Describe(t, "INBOX", true)
	l := lock(t, s.box, s.boxW)
	drop := l.State().Len() / 2
	gone := l.State().UIDs()[drop]
	if err := l.Reset(0, l.State().Records(func(i int) bool { return i != drop })...); err != nil {
		t.Fatal(err)
	}
	unlock(t, l)
	after := store.Describe(t, "INBOX", true)
	if after.HighestModSeq <= before.HighestModSeq {
		t.Errorf("highest modseq %d, was %d", after.HighestModSeq, before.HighestModSeq)
	}
	if _, err := s.box.Refresh(); err != nil {
		t.Fatal(err)
	}
	compare(t, s.box, after)
	before.Mails = slices.DeleteFunc(before.Mails, func(m mdboxtest.ExpectedMail) bool { return m.UID == gone })
	before.Messages, before.Unseen, before.HighestModSeq = after.Messages, after.Unseen, after.HighestModSeq
	for i := range before.Mails {
		before.Mails[i].ModSeq = after.Mails[min(i, len(after.Mails)-1)].ModSeq
	}
	if d := cmp.Diff(before, after); d != "" {
		t.Errorf("mailbox (-before +after):\n%s", d)
	}
	for range 40 {
		if err := s.step(); err != nil {
			t.Fatal(err)
		}
	}
	compareWithDovecot(t, store, s)
	noErrors(t, store)
}

func compareWithDovecot(t *testing.T, store *mdboxtest.Store, s *session) {
	t.Helper()
	want := store.Describe(t, "INBOX", true)
	if _, err := s.box.Refresh(); err != nil {
		t.Fatal(err)
	}
	compare(t, s.box, want)
}
