package mdbox

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/mdbox"
	"github.com/roostmail/roost/mdbox/mdboxtest"
)

// state is what core knows about a mailbox.
type state struct {
	UIDNext, HighestModSeq uint64
	Messages               map[uint32]string // by UID: flags, keywords, modseq
}

func rows(c *backend.Columns, keywords []string) map[uint32]string {
	m := map[uint32]string{}
	for i, uid := range c.UIDs {
		modseq := "mailbox's"
		if c.ModSeqs != nil {
			modseq = fmt.Sprint(c.ModSeqs[i])
		}
		m[uid] = fmt.Sprint(flagNames(c.Flags[i]), keywordNames(keywords, c, i), modseq)
	}
	return m
}

func stateOf(s *backend.Snapshot) *state {
	return &state{uint64(s.UIDNext), s.HighestModSeq, rows(&s.Messages, s.Keywords)}
}

func (st *state) apply(t *testing.T, c *backend.Changes) *state {
	t.Helper()
	n := &state{uint64(c.UIDNext), c.HighestModSeq, maps.Clone(st.Messages)}
	for _, uid := range c.Expunged {
		if _, ok := n.Messages[uid]; !ok {
			t.Errorf("expunged UID %d was not there", uid)
		}
		delete(n.Messages, uid)
	}
	for uid, row := range rows(&c.Updated, c.Keywords) {
		if _, ok := n.Messages[uid]; !ok {
			t.Errorf("updated UID %d was not there", uid)
		}
		n.Messages[uid] = row
	}
	for uid, row := range rows(&c.Appended, c.Keywords) {
		if uint64(uid) < st.UIDNext {
			t.Errorf("appended UID %d below UIDNEXT %d", uid, st.UIDNext)
		}
		n.Messages[uid] = row
	}
	return n
}

// TestChangesOfLiveDovecot lets Dovecot change a mailbox at random, and compares
// after each step the changes with what a plugin that was just started reads; and
// that no change came without an event of the watch.
func TestChangesOfLiveDovecot(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 1))
	store := mdboxtest.MakeStore(t, "--content", "small")
	s := openStorage(t, store, nil)
	events, err := s.WatchFile(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	defer events.Close()
	snap, err := s.Open(context.Background(), ref("INBOX"))
	if err != nil {
		t.Fatal(err)
	}
	got, position := stateOf(snap), snap.Position
	first, firstPosition := got, position
	seen := map[string]bool{}
	for range 30 {
		op := dovecotOp(t, rnd, store)
		seen[op] = true
		changed := queued(t, events) > 0
		c, err := s.Changes(context.Background(), ref("INBOX"), position)
		if err != nil || c.Reset != nil {
			t.Fatalf("%s: %+v, %v", op, c, err)
		}
		if moved := string(c.Position) != string(position); moved && !changed {
			t.Errorf("%s: changed without an event", op)
		}
		got, position = got.apply(t, c), c.Position
		fresh := openStorage(t, store, nil)
		full, err := fresh.Open(context.Background(), ref("INBOX"))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(stateOf(full), got); diff != "" {
			t.Fatalf("%s: changes differ from a full reading (-full +changes):\n%s", op, diff)
		}
		// The whole history at once, in a process that knows nothing of it.
		if c, err := fresh.Changes(context.Background(), ref("INBOX"), firstPosition); err != nil {
			t.Fatal(err)
		} else if c.Reset != nil {
			first, firstPosition = got, position // the log was rotated twice since
		} else if diff := cmp.Diff(stateOf(full), first.apply(t, c)); diff != "" {
			t.Fatalf("%s: all changes since the start differ from a full reading:\n%s", op, diff)
		}
	}
	t.Log("operations:", seen)
	if fileSeq(t, position) == fileSeq(t, snap.Position) {
		t.Error("the log was not rotated meanwhile")
	}
	checkAgainstDoveadm(t, store, got)
}

// fileSeq is the sequence number of the log file that a position is in.
func fileSeq(t *testing.T, position []byte) uint32 {
	t.Helper()
	p, err := mdbox.ParsePosition(position)
	if err != nil {
		t.Fatal(err)
	}
	return p.Index.Log.FileSeq
}

// dovecotOp lets doveadm do something with INBOX, and tells what.
func dovecotOp(t *testing.T, rnd *rand.Rand, store *mdboxtest.Store) string {
	t.Helper()
	uids := strings.Fields(store.Doveadm(t, "-f", "flow", "fetch", "uid", "mailbox", "INBOX", "all"))
	uid := "uid=1"
	if len(uids) > 0 {
		uid = uids[rnd.IntN(len(uids))]
	}
	query := []string{"mailbox", "INBOX", "uid", strings.TrimPrefix(uid, "uid=")}
	flags := []string{`\Seen`, `\Flagged`, `\Answered $Work`, `\Draft`, "Kw1 Kw2", `\Seen $Forwarded`}[rnd.IntN(6)]
	switch n := rnd.IntN(10); {
	case n < 3:
		action := []string{"add", "remove", "replace"}[rnd.IntN(3)]
		store.Doveadm(t, append([]string{"flags", action, flags}, query...)...)
		return "flags " + action
	case n < 5 && len(uids) > 3:
		store.Doveadm(t, append([]string{"expunge"}, query...)...)
		return "expunge"
	case n == 5:
		store.Doveadm(t, append([]string{"copy", "INBOX"}, query...)...)
		return "copy"
	case n == 6:
		store.Doveadm(t, "purge")
		return "purge"
	case n == 7:
		store.Doveadm(t, "-f", "flow", "fetch", "modseq", "mailbox", "INBOX", "all")
		return "enable modseqs"
	}
	store.IMAP(t, "SELECT INBOX", `APPEND INBOX (\Seen) "01-Feb-2024 10:00:00 +0000" {17+}`+"\r\nSubject: x\r\n\r\nxy")
	return "append"
}

// checkAgainstDoveadm compares UIDs and flags with what Dovecot says at the end.
func checkAgainstDoveadm(t *testing.T, store *mdboxtest.Store, got *state) {
	t.Helper()
	out := store.Doveadm(t, "-f", "tab", "fetch", "uid flags", "mailbox", "INBOX", "all")
	n := 0
	for i, line := range strings.Split(strings.TrimRight(out, "\n"), "\n") {
		if i == 0 {
			continue
		}
		n++
		f := strings.Split(line, "\t")
		var uid uint32
		if _, err := fmt.Sscan(f[0], &uid); err != nil {
			t.Fatal(err)
		}
		row, ok := got.Messages[uid]
		for flag := range strings.FieldsSeq(f[1]) {
			if flag != `\Recent` && !strings.Contains(row, flag) {
				t.Errorf("UID %d lacks %s: %s", uid, flag, row)
			}
		}
		if !ok {
			t.Errorf("UID %d is missing", uid)
		}
	}
	if n != len(got.Messages) {
		t.Errorf("%d messages, Dovecot has %d", len(got.Messages), n)
	}
}
