package mailbox_test

import (
	"slices"
	"testing"

	"github.com/emersion/go-imap/v2"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/core/mailbox"
)

func TestMissing(t *testing.T) {
	f := newFixture(t, true, mailbox.DefaultConfig)
	for range 9 {
		f.inbox.Append("x", 0)
	}
	for _, uid := range []uint32{2, 5, 6, 9} {
		f.inbox.Expunge(imap.UID(uid))
	}
	m, v := f.open() // 1, 3, 4, 7, 8
	defer m.Close(v.Version)
	const most = 1<<32 - 1
	for _, c := range []struct{ in, want []backend.UIDRange }{
		{nil, nil},
		{[]backend.UIDRange{{First: 1, Last: most}}, []backend.UIDRange{{First: 2, Last: 2}, {First: 5, Last: 6}, {First: 9, Last: 9}}},
		{[]backend.UIDRange{{First: 6, Last: 8}}, []backend.UIDRange{{First: 6, Last: 6}}},
		{[]backend.UIDRange{{First: 3, Last: 4}, {First: 7, Last: 7}, {First: 9, Last: 9}, {First: 10, Last: most}}, []backend.UIDRange{{First: 9, Last: 9}}},
		{[]backend.UIDRange{{First: 10, Last: 12}}, nil},
	} {
		if got := v.Missing(c.in); !slices.Equal(got, c.want) {
			t.Errorf("%v: %v, want %v", c.in, got, c.want)
		}
	}
}

// TestEnableModSeqs: storage is told once, and sessions see no change by it.
func TestEnableModSeqs(t *testing.T) {
	f := newFixture(t, true, mailbox.DefaultConfig)
	f.store.AllowWrites()
	for range 3 {
		f.inbox.Append("x", 0)
	}
	f.inbox.DisableModSeqs()
	m, v := f.open()
	defer m.Close(v.Version)
	if f.r.HasModSeqs(m.ID()) {
		t.Error("modseqs are there before anybody wants them")
	}
	for range 2 {
		if err := m.EnableModSeqs(t.Context(), f.store); err != nil {
			t.Fatal(err)
		}
	}
	f.wantCalls("EnableModSeqs", 1)
	if now := m.Current(); now.Version != v.Version {
		t.Errorf("version %d became %d", v.Version, now.Version)
	}
	f.inbox.SetFlags(2, backend.FlagSeen)
	f.deliver()
	f.refresh(m)
	now := m.Current()
	for seq, want := range map[mailbox.SeqNum]uint64{1: v.HighestModSeq, 2: v.HighestModSeq + 1, 3: v.HighestModSeq} {
		if msg, _ := now.Message(seq); msg.ModSeq != want {
			t.Errorf("message %d has modseq %d, want %d", seq, msg.ModSeq, want)
		}
	}
	if !f.r.HasModSeqs(m.ID()) {
		t.Error("modseqs are not known to be there")
	}
}
