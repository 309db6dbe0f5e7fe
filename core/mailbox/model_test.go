package mailbox_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/emersion/go-imap/v2"
	"github.com/google/go-cmp/cmp"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/core/imapwire"
	"github.com/roostmail/roost/core/mailbox"
)

func imapUID(n uint32) imap.UID { return imap.UID(n) }

// client is a naive IMAP client: a list of what it believes about each sequence number.
type client struct {
	version uint64
	uids    []uint32 // by sequence number
	flags   []string
	next    imap.UID
}

func newClient(v *mailbox.View) *client {
	c := &client{version: v.Version, next: v.UIDNext}
	c.learn(v)
	return c
}

// learn takes over the messages that were not known yet.
func (c *client) learn(v *mailbox.View) {
	for m := range v.Messages([]mailbox.SeqRange{{First: mailbox.SeqNum(len(c.uids)) + 1, Last: mailbox.SeqNum(v.Len())}}) {
		c.uids = append(c.uids, uint32(m.UID))
		c.flags = append(c.flags, v.FlagSet(m.Flags).Text(false))
	}
	c.next = v.UIDNext
}

// apply does what the untagged responses of an update say.
func (c *client) apply(u *mailbox.Update) {
	for _, ch := range u.Changed {
		if !ch.FlagsSame {
			c.flags[ch.Seq-1] = u.To.FlagSet(ch.Flags).Text(false)
		}
	}
	for _, seq := range slices.Backward(u.Expunged) {
		c.uids = slices.Delete(c.uids, int(seq)-1, int(seq))
		c.flags = slices.Delete(c.flags, int(seq)-1, int(seq))
	}
	c.learn(u.To)
	c.version = u.To.Version
}

// check compares the client's sequence numbers with its view.
func (c *client) check(v *mailbox.View) error {
	if now := viewUIDs(v); !slices.Equal(c.uids, now) {
		return fmt.Errorf("version %d: client (-), view (+):\n%s", v.Version, cmp.Diff(c.uids, now))
	}
	if v.UIDNext != c.next || int(v.Len()) != len(c.uids) {
		return fmt.Errorf("version %d: UIDNEXT %d, want %d; %d messages, want %d", v.Version, v.UIDNext, c.next, v.Len(), len(c.uids))
	}
	return nil
}

// TestRandomChangesAgainstModel changes a mailbox at random, under clients that catch up
// now and then, and compares every client's sequence numbers with a naive copy.
func TestRandomChangesAgainstModel(t *testing.T) {
	for _, c := range []struct {
		seed              uint64
		start, steps, max int
	}{{1, 0, 3000, 8}, {2, 30, 3000, 60}, {3, 5000, 400, 6000}, {4, 2100, 800, 2200}} {
		t.Run(fmt.Sprintf("seed=%d,messages=%d", c.seed, c.start), func(t *testing.T) {
			runModel(t, rand.New(rand.NewPCG(c.seed, 7)), c.start, c.steps, c.max)
		})
	}
}

func runModel(t *testing.T, rnd *rand.Rand, start, steps, most int) {
	f := newFixture(t, false, mailbox.Config{JournalBytes: 64 << 20})
	for range start {
		f.inbox.Append("x", uint8(rnd.IntN(32)))
	}
	m, v := f.open()
	clients := []*client{newClient(v)}
	for step := range steps {
		change(f, rnd, most)
		if rnd.IntN(3) == 0 {
			continue
		}
		f.refresh(m)
		checkCurrent(t, f, m.Current())
		switch n := rnd.IntN(10); {
		case n == 0 && len(clients) < 8:
			_, v := f.open()
			clients = append(clients, newClient(v))
		case n == 1 && len(clients) > 1:
			i := 1 + rnd.IntN(len(clients)-1)
			m.Close(clients[i].version)
			clients = slices.Delete(clients, i, i+1)
		}
		for _, cl := range clients {
			v, err := m.At(cl.version)
			if err != nil {
				t.Fatalf("step %d: %v", step, err)
			}
			if err := errors.Join(cl.check(v), mailbox.Sound(v)); err != nil {
				t.Fatalf("step %d: %v", step, err)
			}
			if rnd.IntN(4) != 0 {
				continue
			}
			noExpunge := rnd.IntN(2) == 0
			u, err := m.Catchup(cl.version, noExpunge)
			if err != nil {
				t.Fatalf("step %d: %v", step, err)
			}
			if noExpunge && len(u.Expunged) > 0 {
				t.Fatalf("step %d: expunges in an update without", step)
			}
			m.Advance(cl.version, u.To.Version)
			cl.apply(u)
			if u.To == m.Current() {
				checkFlags(t, cl, u.To)
			}
		}
	}
}

// change does something to the mailbox.
func change(f *fixture, rnd *rand.Rand, most int) {
	uids := f.inbox.UIDs()
	pick := func() imap.UID { return imapUID(uids[rnd.IntN(len(uids))]) }
	keywords := []string{"$Forwarded", "$MDNSent", "work", "a", "b"}
	switch n := rnd.IntN(20); {
	case n < 8 && len(uids) < most:
		for range 1 + rnd.IntN(3) {
			f.inbox.Append("x", uint8(rnd.IntN(32)), keywords[:rnd.IntN(len(keywords))]...)
		}
	case n < 13 && len(uids) > 0:
		f.inbox.SetFlags(pick(), uint8(rnd.IntN(32)), keywords[rnd.IntN(len(keywords)):]...)
	case n < 17 && len(uids) > 0:
		f.inbox.Expunge(pick())
	case n == 17 && len(uids) > 0: // a run of expunges: whole chunks go
		from := rnd.IntN(len(uids))
		for _, uid := range uids[from:min(len(uids), from+1+most/4)] {
			f.inbox.Expunge(imapUID(uid))
		}
	case n == 18:
		f.inbox.SkipUIDs(uint32(1 + rnd.IntN(5)))
	default:
		f.inbox.ForgetHistory()
		f.forgot = true
	}
}

// checkCurrent compares a view with the store, and its lookups with each other.
func checkCurrent(t *testing.T, f *fixture, v *mailbox.View) {
	t.Helper()
	if err := mailbox.Sound(v); err != nil {
		t.Fatal(err)
	}
	want := f.inbox.UIDs()
	if now := viewUIDs(v); !slices.Equal(want, now) {
		t.Fatalf("store (-), view (+):\n%s", cmp.Diff(want, now))
	}
	unseen, first := uint32(0), mailbox.SeqNum(0)
	for m := range v.Messages(v.All()) {
		if !v.FlagSet(m.Flags).Seen() {
			if unseen++; first == 0 {
				first = m.Seq
			}
		}
	}
	if v.Unseen() != unseen || v.FirstUnseen() != first {
		t.Fatalf("%d unseen, first %d; want %d, %d", v.Unseen(), v.FirstUnseen(), unseen, first)
	}
	for _, since := range []uint64{0, 1, v.HighestModSeq / 2, v.HighestModSeq - 1, v.HighestModSeq} {
		newer := slices.Collect(v.Newer(v.All(), since))
		all := slices.DeleteFunc(slices.Collect(v.Messages(v.All())), func(m mailbox.Message) bool { return m.ModSeq <= since })
		if !slices.Equal(newer, all) {
			t.Fatalf("%d messages newer than %d, want %d", len(newer), since, len(all))
		}
	}
	for _, rs := range [][]mailbox.SeqRange{v.All(), {{First: 2, Last: mailbox.SeqNum(v.Len()/2 + 1)}}} {
		var deleted []mailbox.Message
		for m := range v.Messages(rs) {
			if v.FlagSet(m.Flags).System&backend.FlagDeleted != 0 {
				deleted = append(deleted, m)
			}
		}
		if got := slices.Collect(v.Deleted(rs)); !slices.Equal(got, deleted) {
			t.Fatalf("%v with \\Deleted in %v, want %v", got, rs, deleted)
		}
	}
	for i, uid := range want {
		if i > 20 && i < len(want)-20 && i%97 != 0 {
			continue
		}
		seq := mailbox.SeqNum(i + 1)
		if m, ok := v.Message(seq); !ok || uint32(m.UID) != uid || m.Seq != seq || v.Seq(imapUID(uid)) != seq {
			t.Fatalf("message %d: %+v, Seq(%d) = %d", seq, m, uid, v.Seq(imapUID(uid)))
		}
		if i > 0 && want[i-1]+1 < uid && v.Seq(imapUID(uid-1)) != 0 {
			t.Fatalf("UID %d does not exist, but has a number", uid-1)
		}
	}
}

func checkFlags(t *testing.T, cl *client, v *mailbox.View) {
	t.Helper()
	for m := range v.Messages(v.All()) {
		if text := v.FlagSet(m.Flags).Text(false); text != cl.flags[m.Seq-1] {
			t.Fatalf("client has %q for message %d, the view %q", cl.flags[m.Seq-1], m.Seq, text)
		}
	}
}

// TestSetsResolveAgainstModel compares View.Seqs and View.UIDs with a look at every message.
func TestSetsResolveAgainstModel(t *testing.T) {
	rnd := rand.New(rand.NewPCG(5, 7))
	for range 300 {
		f := newFixture(t, false, mailbox.Config{JournalBytes: 1 << 20})
		for range rnd.IntN(30) {
			f.inbox.Append("x", 0)
			f.inbox.SkipUIDs(uint32(rnd.IntN(3)))
		}
		_, v := f.open()
		var set imapwire.NumSet
		for range 1 + rnd.IntN(4) {
			set = append(set, imapwire.NumRange{Start: uint32(rnd.IntN(40)), Stop: uint32(rnd.IntN(40))})
		}
		seqs, ok := v.Seqs(set)
		allExist := true
		var wantSeqs, wantUIDs []mailbox.SeqNum
		for n := uint32(1); n < 100; n++ {
			if in(set, n, v.Len()) {
				if n <= v.Len() {
					wantSeqs = append(wantSeqs, mailbox.SeqNum(n))
				} else {
					allExist = false
				}
			}
		}
		for m := range v.Messages(v.All()) {
			if in(set, uint32(m.UID), uint32(v.LastUID())) {
				wantUIDs = append(wantUIDs, m.Seq)
			}
		}
		if diff := cmp.Diff(wantSeqs, flat(v, seqs)); diff != "" || ok != (allExist && len(wantSeqs) > 0) {
			t.Fatalf("%v of %d messages: ok %t, %s", set, v.Len(), ok, diff)
		}
		if diff := cmp.Diff(wantUIDs, flat(v, v.UIDs(set))); diff != "" {
			t.Fatalf("UIDs %v: %s", set, diff)
		}
	}
}

// in is the definition of a sequence set (RFC 3501 §9: sequence-set).
func in(set imapwire.NumSet, n, largest uint32) bool {
	for _, r := range set {
		a, b := r.Start, r.Stop
		if a == imapwire.Star {
			a = largest
		}
		if b == imapwire.Star {
			b = largest
		}
		if n >= min(a, b) && n <= max(a, b) {
			return true
		}
	}
	return false
}

func flat(v *mailbox.View, rs []mailbox.SeqRange) (out []mailbox.SeqNum) {
	for m := range v.Messages(rs) {
		out = append(out, m.Seq)
	}
	return out
}
