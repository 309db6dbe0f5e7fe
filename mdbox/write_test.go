package mdbox_test

import (
	"context"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/roostmail/roost/mdbox"
	"github.com/roostmail/roost/mdbox/cache"
	"github.com/roostmail/roost/mdbox/index"
	"github.com/roostmail/roost/mdbox/mdboxtest"
)

// writable opens the store at root for writing. Reports fail the test.
func writable(t testing.TB, root string, change func(*mdbox.Writing)) *mdbox.Store {
	t.Helper()
	w := &mdbox.Writing{Cache: cache.DefaultPolicy()}
	if change != nil {
		change(w)
	}
	s := mdbox.New(testLocation(t, root), mdbox.Options{Write: w, Report: func(err error) { t.Error(err) }})
	t.Cleanup(func() { s.Close() })
	return s
}

func openBox(t testing.TB, s *mdbox.Store, name string) *mdbox.Mailbox {
	t.Helper()
	b, err := s.OpenMailbox(name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func message(token string, size int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "From: a@example.org\r\nSubject: %s\r\nMessage-ID: <%s@example.org>\r\n\r\n", token, token)
	for b.Len() < size {
		fmt.Fprintf(&b, "%s at %d\r\n", token, b.Len())
	}
	return b.String()
}

func newMail(token string, size int, flags uint8, keywords ...string) mdbox.NewMessage {
	m := message(token, size)
	return mdbox.NewMessage{Flags: flags, Keywords: keywords, Received: 1_700_000_000, Size: uint64(len(m)), Body: strings.NewReader(m)}
}

// TestWrittenByBoth lets this library and a real Dovecot change the same store in turn, and compares what they see of it each time.
func TestWrittenByBoth(t *testing.T) {
	dovecot := mdboxtest.MakeStore(t, "--content", "fresh")
	dovecot.IMAP(t, "CREATE A", "CREATE B")
	s := writable(t, dovecot.Root, func(w *mdbox.Writing) {
		w.RotateSize = 100_000
		w.Index = index.Writing{RotateMinSize: 2000, RotateMaxSize: 6000, RewriteMinLog: 500, RewriteMaxLog: 2000}
	})
	names := []string{"INBOX", "A", "B"}
	boxes := map[string]*mdbox.Mailbox{}
	for _, n := range names {
		boxes[n] = openBox(t, s, n)
	}
	rng := rand.New(rand.NewPCG(1, 2))
	for round := range 30 {
		for i := range 8 {
			randomWrite(t, rng, boxes, fmt.Sprintf("%d-%d", round, i))
		}
		for _, n := range names {
			if sum, kept := mdbox.SizeSum(boxes[n]); kept && sum != sizeOf(t, boxes[n]) {
				t.Errorf("round %d: %s: the sum of sizes is %d, want %d", round, n, sum, sizeOf(t, boxes[n]))
			}
		}
		if round%5 == 4 {
			if _, err := s.Purge(context.Background(), nil); err != nil {
				t.Fatal(err)
			}
		}
		giveTo(t, dovecot.Root)
		dovecotWrites(t, rng, dovecot, names[rng.IntN(3)], names[rng.IntN(3)], round)
		for _, n := range names {
			sameAsDovecot(t, dovecot, boxes[n])
		}
		if t.Failed() {
			t.Fatalf("round %d", round)
		}
	}
	before := dovecot.Doveadm(t, "-f", "tab", "fetch", "mailbox uid guid flags refcount", "ALL")
	dovecot.Doveadm(t, "force-resync", "*")
	after := dovecot.Doveadm(t, "-f", "tab", "fetch", "mailbox uid guid flags refcount", "ALL")
	if before != after {
		t.Errorf("a rebuild changes something:\n%s\n%s", before, after)
	}
}

// sizeOf adds up the sizes of all messages, one by one.
func sizeOf(t *testing.T, b *mdbox.Mailbox) (sum uint64) {
	t.Helper()
	ms, err := b.Messages(mustSnapshot(t, b).Messages.UIDs)
	if err != nil {
		t.Fatal(err)
	}
	defer ms.Close()
	for ms.Next() {
		sum += uint64(len(readAll(t, ms.Message())))
	}
	return sum
}

// giveTo gives all files below root to its owner: a test that runs as root makes files that Dovecot's processes could not open.
func giveTo(t *testing.T, root string) {
	t.Helper()
	st, err := os.Stat(root)
	if err != nil {
		t.Fatal(err)
	}
	owner := st.Sys().(*syscall.Stat_t)
	err = filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, int(owner.Uid), int(owner.Gid))
	})
	if err != nil {
		t.Fatal(err)
	}
}

// randomWrite changes something through this library.
func randomWrite(t *testing.T, rng *rand.Rand, boxes map[string]*mdbox.Mailbox, token string) {
	t.Helper()
	ctx := context.Background()
	names := []string{"INBOX", "A", "B"}
	b := boxes[names[rng.IntN(3)]]
	some := pickUIDs(t, rng, b)
	var err error
	switch rng.IntN(8) {
	case 0, 1:
		_, err = b.Append(ctx, []mdbox.NewMessage{newMail("r"+token, 200+rng.IntN(20_000), index.FlagSeen, "$Kw", "Work")})
	case 2:
		_, err = b.Append(ctx, []mdbox.NewMessage{newMail("r"+token+"a", 300, 0), newMail("r"+token+"b", 4000, index.FlagFlagged), newMail("r"+token+"c", 0, 0, "Other")})
	case 3:
		_, err = b.ChangeFlags(ctx, mdbox.FlagChange{UIDs: some, Mode: mdbox.FlagMode(rng.IntN(3)), Flags: uint8(rng.IntN(32)) &^ index.FlagDeleted, Keywords: []string{"Work", "k" + token[:1]}, UnchangedSince: mdbox.AnyModSeq})
	case 4:
		_, err = b.Copy(ctx, mdbox.CopyRequest{UIDs: some, To: boxes[names[rng.IntN(3)]]})
	case 5:
		_, err = b.Copy(ctx, mdbox.CopyRequest{UIDs: some, To: boxes[names[rng.IntN(3)]], Move: true})
	case 6:
		_, err = b.Expunge(ctx, [16]byte{}, some, false)
	case 7:
		_, _, err = b.ClaimRecent(ctx, [16]byte{})
	}
	if err != nil {
		t.Fatal(err)
	}
}

func pickUIDs(t *testing.T, rng *rand.Rand, b *mdbox.Mailbox) (some []uint32) {
	t.Helper()
	for _, uid := range mustSnapshot(t, b).Messages.UIDs {
		if rng.IntN(4) == 0 {
			some = append(some, uid)
		}
	}
	return some
}

// dovecotWrites changes something through Dovecot's IMAP server.
func dovecotWrites(t *testing.T, rng *rand.Rand, s *mdboxtest.Store, from, to string, round int) {
	t.Helper()
	m := message(fmt.Sprintf("d%d", round), 100+rng.IntN(8000))
	s.IMAP(t, "SELECT "+from,
		fmt.Sprintf("APPEND %s ($Kw \\Seen) {%d+}\r\n%s", to, len(m), m),
		`STORE 1:* +FLAGS (\Answered Dove)`,
		fmt.Sprintf("COPY 1:3 %s", to), "STATUS A (SIZE)", "STATUS B (SIZE)", "STATUS INBOX (SIZE)",
		`STORE 2 +FLAGS (\Deleted)`, "EXPUNGE",
		"UID FETCH 1:* (ENVELOPE BODYSTRUCTURE)")
}

// sameAsDovecot compares a mailbox with what Dovecot shows of it, down to the text of every message.
func sameAsDovecot(t *testing.T, s *mdboxtest.Store, b *mdbox.Mailbox) {
	t.Helper()
	snap := mustSnapshot(t, b)
	want := s.Describe(t, b.Name(), snap.Messages.ModSeqs != nil)
	if snap.UIDValidity != want.UIDValidity || snap.UIDNext != want.UIDNext || snap.HighestModSeq != want.HighestModSeq || len(snap.Messages.UIDs) != len(want.Mails) {
		t.Errorf("%s: UIDVALIDITY %d UIDNEXT %d HIGHESTMODSEQ %d, %d messages; Dovecot: %d %d %d, %d", b.Name(), snap.UIDValidity, snap.UIDNext,
			snap.HighestModSeq, len(snap.Messages.UIDs), want.UIDValidity, want.UIDNext, want.HighestModSeq, len(want.Mails))
		return
	}
	ms, err := b.Messages(snap.Messages.UIDs, "Subject")
	if err != nil {
		t.Fatal(err)
	}
	defer ms.Close()
	got := rows(&snap.Messages, snap.Keywords, snap.HighestModSeq)
	for i := 0; ms.Next(); i++ {
		m, w := ms.Message(), want.Mails[i]
		guid, err := m.GUID()
		if err != nil {
			t.Errorf("%s: UID %d: %v", b.Name(), m.UID(), err)
			continue
		}
		if m.UID() != w.UID || guid != w.GUID {
			t.Errorf("%s: UID %d, GUID %s; Dovecot: %d, %s", b.Name(), m.UID(), guid, w.UID, w.GUID)
		}
		if row := describedRow(&w, snap.Messages.ModSeqs != nil); row != normalRow(got[m.UID()]) {
			t.Errorf("%s: UID %d: %s; Dovecot: %s", b.Name(), m.UID(), normalRow(got[m.UID()]), row)
		}
		if n, err := m.Size(); err != nil || n != uint64(len(readAll(t, m))) {
			t.Errorf("%s: UID %d: size %d, %v", b.Name(), m.UID(), n, err)
		}
	}
	if err := ms.Err(); err != nil {
		t.Fatal(err)
	}
}

func readAll(t *testing.T, m *mdbox.Message) []byte {
	t.Helper()
	r, err := m.NewReader(0, 0)
	if err != nil {
		t.Errorf("UID %d: %v", m.UID(), err)
		return nil
	}
	defer r.Close()
	b := make([]byte, r.Len())
	n := 0
	for n < len(b) {
		k, err := r.Read(b[n:])
		n += k
		if err != nil {
			t.Errorf("UID %d: %v", m.UID(), err)
			return nil
		}
	}
	return b
}

var flagBits = []struct {
	name string
	bit  uint8
}{{`\Answered`, index.FlagAnswered}, {`\Flagged`, index.FlagFlagged}, {`\Deleted`, index.FlagDeleted}, {`\Seen`, index.FlagSeen}, {`\Draft`, index.FlagDraft}}

// describedRow is a message of Dovecot's in the form of rows.
func describedRow(m *mdboxtest.ExpectedMail, modSeqs bool) string {
	var flags uint8
	for _, f := range m.Flags {
		for _, b := range flagBits {
			if b.name == f {
				flags |= b.bit
			}
		}
	}
	modseq := "mailbox's"
	if modSeqs {
		modseq = fmt.Sprint(m.ModSeq)
	}
	k := slices.Clone(m.Keywords)
	slices.Sort(k)
	return fmt.Sprintf("%02x %v %s", flags, k, modseq)
}

// normalRow sorts the keywords of a row.
func normalRow(row string) string {
	head, rest, _ := strings.Cut(row, "[")
	names, tail, _ := strings.Cut(rest, "]")
	k := strings.Fields(names)
	slices.Sort(k)
	return fmt.Sprintf("%s%v%s", head, k, tail)
}
