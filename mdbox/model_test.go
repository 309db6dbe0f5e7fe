package mdbox_test

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/roostmail/roost/mdbox"
	"github.com/roostmail/roost/mdbox/index"
	"github.com/roostmail/roost/mdbox/mdboxtest/writer"
)

func testLocation(t testing.TB, root string) mdbox.Location {
	t.Helper()
	tmpl, err := mdbox.ParseLocation("mdbox:" + root)
	if err != nil {
		t.Fatal(err)
	}
	l, err := tmpl.Resolve(mdbox.Vars{}, "/")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// view is what a client knows about a mailbox.
type view struct {
	UIDValidity, UIDNext, FirstRecent uint32
	HighestModSeq                     uint64
	Messages                          map[uint32]string // by UID: flags, keywords, modseq
}

func rows(c *mdbox.Columns, keywords []string, highest uint64) map[uint32]string {
	m := map[uint32]string{}
	for i, uid := range c.UIDs {
		var names []string
		for k, name := range keywords {
			if c.HasKeyword(i, k) {
				names = append(names, name)
			}
		}
		modseq := "mailbox's"
		if c.ModSeqs != nil {
			modseq = fmt.Sprint(c.ModSeqs[i])
		}
		m[uid] = fmt.Sprintf("%02x [%s] %s", c.Flags[i], strings.Join(names, " "), modseq)
	}
	return m
}

func viewOf(s *mdbox.Snapshot) *view {
	return &view{s.UIDValidity, s.UIDNext, s.FirstRecentUID, s.HighestModSeq, rows(&s.Messages, s.Keywords, s.HighestModSeq)}
}

// apply makes the view after c, and fails if c names messages that it should not.
func (v *view) apply(t *testing.T, c *mdbox.Changes) *view {
	t.Helper()
	n := &view{v.UIDValidity, c.UIDNext, c.FirstRecentUID, c.HighestModSeq, maps.Clone(v.Messages)}
	for _, uid := range c.Expunged {
		if _, ok := n.Messages[uid]; !ok {
			t.Errorf("expunged UID %d was not there", uid)
		}
		delete(n.Messages, uid)
	}
	for uid, row := range rows(&c.Updated, c.Keywords, c.HighestModSeq) {
		if _, ok := n.Messages[uid]; !ok {
			t.Errorf("updated UID %d was not there", uid)
		}
		n.Messages[uid] = row
	}
	for uid, row := range rows(&c.Appended, c.Keywords, c.HighestModSeq) {
		if uid < v.UIDNext {
			t.Errorf("appended UID %d below UIDNEXT %d", uid, v.UIDNext)
		}
		n.Messages[uid] = row
	}
	for _, uids := range [][]uint32{c.Expunged, c.Updated.UIDs, c.Appended.UIDs} {
		if !slices.IsSorted(uids) {
			t.Errorf("UIDs not ascending: %v", uids)
		}
	}
	return n
}

func mustSnapshot(t *testing.T, b *mdbox.Mailbox) *mdbox.Snapshot {
	t.Helper()
	s, err := b.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	if len(s.Damage) > 0 {
		t.Fatalf("damage: %q", s.Damage)
	}
	return s
}

func mustOpen(t *testing.T, root, name string) *mdbox.Mailbox {
	t.Helper()
	store := mdbox.New(testLocation(t, root), mdbox.Options{})
	t.Cleanup(func() { store.Close() })
	b, err := store.OpenMailbox(name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestChangesEqualFullReading lets a mailbox change at random, and compares at
// every step: the changes since the last step and since an older one, told by the same
// mailbox and by one that was just opened, with what a full reading says.
func TestChangesEqualFullReading(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 1))
	root := t.TempDir()
	w := writer.New(t, root).Mailbox("INBOX")
	b := mustOpen(t, root, "INBOX")
	type past struct {
		position mdbox.Position
		view     *view
		rotation int
	}
	rotations, gone := 0, 0
	first := mustSnapshot(t, b)
	history := []past{{first.Position, viewOf(first), 0}}
	for step := range 600 {
		op := randomOp(rnd, w)
		if op == "rotate" {
			rotations++
		}
		want := viewOf(mustSnapshot(t, mustOpen(t, root, "INBOX")))
		old := history[rnd.IntN(len(history))]
		for _, from := range []past{history[len(history)-1], old} {
			reader := b
			if rnd.IntN(4) == 0 {
				reader = mustOpen(t, root, "INBOX")
			}
			position, err := mdbox.ParsePosition(from.position.Append(nil))
			if err != nil {
				t.Fatal(err)
			}
			c, err := reader.Changes(position)
			if rotations-from.rotation > 1 && errors.Is(err, mdbox.ErrHistoryGone) {
				gone++ // .log.2 begins behind from
				continue
			}
			if err != nil {
				t.Fatalf("step %d, %s: %v", step, op, err)
			}
			got := from.view.apply(t, c)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatalf("step %d, %s, from %+v: changes differ from a full reading (-full +changes):\n%s", step, op, from.position, diff)
			}
			if from.position == history[len(history)-1].position {
				history = append(history, past{c.Position, got, rotations})
			}
		}
	}
	if gone == 0 {
		t.Error("no position was too old")
	}
}

var keywordsForTest = []string{"$Forwarded", "$Work", "Kw-1", "Kw-2", "Kw-3", "NonJunk"}

// randomOp does something with the mailbox and tells what.
func randomOp(rnd *rand.Rand, w *writer.Mailbox) string {
	first := 1 + rnd.Uint32N(w.NextUID+2)
	last := first + rnd.Uint32N(4)
	n := rnd.IntN(100)
	if n >= 25 && n < 85 && !w.Has(first) {
		return "nothing" // no process changes what it does not see
	}
	switch {
	case n < 25:
		msgs := make([][]byte, 1+rnd.IntN(3))
		for i := range msgs {
			msgs[i] = fmt.Appendf(nil, "Subject: %d\r\n\r\nbody\r\n", rnd.Uint32())
		}
		w.Append(uint8(rnd.IntN(32)), msgs...)
		return "append"
	case n < 50:
		w.Flags(first, last, uint8(rnd.IntN(32)), uint8(rnd.IntN(32)))
		return "flags"
	case n < 52:
		w.Flags(first, last, index.FlagBackend, 0)
		return "private flag"
	case n < 65:
		w.Keyword(keywordsForTest[rnd.IntN(len(keywordsForTest))], rnd.IntN(3) == 0, first, last)
		return "keyword"
	case n < 68:
		w.ResetKeywords(first, last)
		return "keyword reset"
	case n < 85:
		w.Expunge(first)
		return "expunge"
	case n < 90:
		w.Tail()
		return "tail"
	case n < 92:
		w.EnableModSeqs()
		return "enable modseqs"
	case n < 95:
		w.WriteIndex()
		return "write index"
	case n < 98:
		w.Rotate()
		return "rotate"
	}
	return "nothing"
}

func TestMailboxThatIsDeletedAndMadeAgain(t *testing.T) {
	root := t.TempDir()
	s := writer.New(t, root)
	w := s.Mailbox("A")
	w.Append(0, []byte("Subject: old\r\n\r\n"))
	b := mustOpen(t, root, "A")
	before := mustSnapshot(t, b)
	removeAll(t, filepath.Join(root, "mailboxes", "A"))
	if _, err := b.Snapshot(); !errors.Is(err, mdbox.ErrNotFound) {
		t.Errorf("snapshot of a deleted mailbox: %v", err)
	}
	if _, err := b.Changes(before.Position); !errors.Is(err, mdbox.ErrNotFound) {
		t.Errorf("changes of a deleted mailbox: %v", err)
	}
	again := s.Mailbox("A")
	again.Append(0, []byte("Subject: new\r\n\r\n"), []byte("Subject: newer\r\n\r\n"))
	after := mustSnapshot(t, b)
	if len(after.Messages.UIDs) != 2 {
		t.Errorf("%d messages in the new mailbox", len(after.Messages.UIDs))
	}
	other := before.Position
	other.Mailbox[0]++
	if _, err := b.Changes(other); !errors.Is(err, mdbox.ErrHistoryGone) {
		t.Errorf("changes since a position of another mailbox: %v", err)
	}
}
