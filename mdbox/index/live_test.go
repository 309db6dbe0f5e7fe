package index_test

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/roostmail/roost/mdbox/index"
	"github.com/roostmail/roost/mdbox/mdboxtest"
	"github.com/roostmail/roost/mdbox/translog"
)

// moment is an index at one time.
type moment struct {
	pos      index.Position
	messages map[uint32]message
}

// Dovecot changes a mailbox in random ways, with logs that rotate all the time.
// After each step the index, refreshed or opened anew, says what Dovecot says,
// and the changes since every earlier moment are what differs between the two.
func TestIndexFollowsDovecot(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	store := mdboxtest.MakeStore(t, "--content", "tiny")
	dir := store.Mailbox("INBOX")
	x, err := index.Open(index.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	var moments []moment
	const steps, enable = 24, 8
	gone, rotations := 0, uint32(0)
	for step := range steps {
		if _, err := x.Refresh(); err != nil {
			t.Fatal(err)
		}
		want := store.Describe(t, "INBOX", step >= enable)
		if _, err := x.Refresh(); err != nil { // Describe itself may write
			t.Fatal(err)
		}
		compare(t, x, want)
		y, err := index.Open(index.Options{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		if a, b := snapshot(x), snapshot(y); !slices.Equal(a, b) || x.State().Position() != y.State().Position() {
			t.Errorf("step %d: opened anew, the state at %v is another:\n%x, was\n%x", step, y.State().Pos(), b, a)
		}
		now := momentOf(t, x)
		for _, then := range moments {
			err := checkChanges(t, y, then, now)
			if errors.Is(err, index.ErrHistoryGone) && then.pos.Log.FileSeq+1 < now.pos.Log.FileSeq {
				gone++
			} else if err != nil {
				t.Errorf("step %d: changes since %v: %v", step, then.pos.Log, err)
			}
		}
		moments = append(moments, now)
		if t.Failed() {
			t.Fatalf("step %d", step)
		}
		store.IMAP(t, randomCommands(rnd, x.State().UIDs())...)
	}
	rotations = moments[len(moments)-1].pos.Log.FileSeq - moments[0].pos.Log.FileSeq
	if rotations < 2 || gone == 0 {
		t.Errorf("%d rotations, %d times the history was gone: the test did not see what it is about", rotations, gone)
	}
}

// A client that enables modseqs reads the highest one, and then writes it into the
// log; another process may have written in between. The messages it touched
// have its modseqs.
func TestModSeqsEnabledBesideAnotherWriter(t *testing.T) {
	store := mdboxtest.MakeStore(t, "--content", "fresh")
	dir := store.Mailbox("INBOX")
	x, err := index.Open(index.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	told := x.State().HighestModSeq()
	var b []byte
	for _, p := range []translog.Payload{
		translog.FlagUpdates{{UIDs: translog.UIDRange{First: 3, Last: 3}, Add: index.FlagDraft}},
		translog.FlagUpdates{{UIDs: translog.UIDRange{First: 90, Last: 99}, Add: index.FlagDraft}},
		translog.ExtIntros{{ExtID: translog.ExtIDByName, Name: "modseq", HdrSize: 16, RecordSize: 8, RecordAlign: 8, NoShrink: true}},
		translog.ExtHdrUpdates{{Data: index.ModSeqHeader{Highest: told}.Append(nil)}},
		translog.FlagUpdates{{UIDs: translog.UIDRange{First: 1, Last: 1}, Add: index.FlagDraft}},
	} {
		b = translog.AppendRecord(b, translog.RecordHeader{}, p)
	}
	appendToLog(t, dir, b)
	if _, err := x.Refresh(); err != nil {
		t.Fatal(err)
	}
	if s := x.State(); s.ModSeq(0) != told+3 || s.ModSeq(1) != told+1 || s.HighestModSeq() != told+3 {
		t.Errorf("modseqs %d and %d, highest %d, after %d", s.ModSeq(0), s.ModSeq(1), s.HighestModSeq(), told)
	}
	want := store.Describe(t, "INBOX", true)
	if _, err := x.Refresh(); err != nil {
		t.Fatal(err)
	}
	compare(t, x, want)
}

// A session of Dovecot that has the index open since before modseqs were enabled, and enables them once more, writes the highest one
// that it knew. Dovecot does not take it for the highest one.
func TestModSeqsEnabledAgain(t *testing.T) {
	for name, between := range map[string]translog.NewRecord{
		"once":    {Payload: translog.FlagUpdates{{UIDs: translog.UIDRange{First: 90, Last: 99}, Add: index.FlagDraft}}},
		"flags":   {Payload: translog.FlagUpdates{{UIDs: translog.UIDRange{First: 3, Last: 3}, Add: index.FlagDraft}}},
		"nobody":  {Payload: translog.FlagUpdates{{UIDs: translog.UIDRange{First: 90, Last: 99}, Add: index.FlagDraft}}},
		"expunge": {External: true, Payload: translog.ExpungeGUIDs{{UID: 3}}},
		"all":     {External: true, Payload: translog.Expunges{{First: 1, Last: 99}}},
	} {
		t.Run(name, func(t *testing.T) {
			store := mdboxtest.MakeStore(t, "--content", "fresh")
			dir := store.Mailbox("INBOX")
			x, err := index.Open(index.Options{Dir: dir})
			if err != nil {
				t.Fatal(err)
			}
			told := x.State().HighestModSeq()
			enable := translog.AppendRecord(nil, translog.RecordHeader{}, translog.ExtIntros{{ExtID: translog.ExtIDByName, Name: "modseq", HdrSize: 16, RecordSize: 8, RecordAlign: 8, NoShrink: true}})
			enable = translog.AppendRecord(enable, translog.RecordHeader{}, translog.ExtHdrUpdates{{Data: index.ModSeqHeader{Highest: told}.Append(nil)}})
			first := enable
			if name == "once" {
				first = nil
			}
			b, err := translog.AppendTransaction(nil, between)
			if err != nil {
				t.Fatal(err)
			}
			appendToLog(t, dir, slices.Concat(first, b, enable))
			if _, err := x.Refresh(); err != nil {
				t.Fatal(err)
			}
			if h := x.State().HighestModSeq(); h != told+1 {
				t.Errorf("highest modseq %d, want %d", h, told+1)
			}
			want := store.Describe(t, "INBOX", true)
			if want.HighestModSeq != told+1 {
				t.Errorf("Dovecot's highest modseq is %d", want.HighestModSeq)
			}
			if _, err := x.Refresh(); err != nil {
				t.Fatal(err)
			}
			compare(t, x, want)
		})
	}
}

func appendToLog(t *testing.T, dir string, b []byte) {
	t.Helper()
	f, err := os.OpenFile(filepath.Join(dir, "dovecot.index.log"), os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// snapshot encodes the state of x, without log2_rotate_time and tail: whoever rotates the
// log sets the one in the snapshot only, and Dovecot the other when nothing but
// changes of the index itself is behind the tail.
func snapshot(x *index.Index) []byte {
	b := x.State().AppendSnapshot(nil)
	clear(b[64:68])
	clear(b[76:80])
	return b
}

func momentOf(t *testing.T, x *index.Index) moment {
	m := moment{x.State().Position(), map[uint32]message{}}
	for _, msg := range messages(t, x.State()) {
		if !x.State().HasModSeqs() {
			msg.ModSeq = 0
		}
		m.messages[msg.UID] = msg
	}
	return m
}

// checkChanges compares Changes with the difference of two moments.
func checkChanges(t *testing.T, x *index.Index, then, now moment) error {
	c, err := x.Changes(then.pos)
	if err != nil {
		return err
	}
	var appended, expunged []uint32
	for _, uid := range slices.Sorted(maps.Keys(now.messages)) {
		before, there := then.messages[uid]
		if !there {
			appended = append(appended, uid)
			continue
		}
		after := now.messages[uid]
		if before.ModSeq == 0 {
			after.ModSeq = 0 // messages got modseqs in between
		}
		if !cmp.Equal(before, after) && !slices.Contains(c.Updated, uid) {
			return fmt.Errorf("updated %v lacks UID %d: %v was %v", c.Updated, uid, after, before)
		}
	}
	for _, uid := range slices.Sorted(maps.Keys(then.messages)) {
		if _, there := now.messages[uid]; !there {
			expunged = append(expunged, uid)
		}
	}
	if !slices.Equal(c.Appended, appended) || !slices.Equal(c.Expunged, expunged) || c.To != now.pos {
		return fmt.Errorf("appended %v, expunged %v up to %v, want %v, %v, %v", c.Appended, c.Expunged, c.To, appended, expunged, now.pos)
	}
	for _, uid := range c.Updated {
		if _, before := then.messages[uid]; !before || now.messages[uid].UID == 0 {
			return fmt.Errorf("updated UID %d was not there all the time", uid)
		}
	}
	return nil
}

// randomCommands returns the IMAP commands of one session.
func randomCommands(rnd *rand.Rand, uids []uint32) []string {
	cmds := []string{"SELECT INBOX"}
	uid := func() string {
		if len(uids) == 0 {
			return "1"
		}
		a, b := uids[rnd.IntN(len(uids))], uids[rnd.IntN(len(uids))]
		return []string{fmt.Sprint(a), fmt.Sprintf("%d:%d", a, b), fmt.Sprintf("%d,%d", a, b)}[rnd.IntN(3)]
	}
	flags := []string{`\Seen`, `\Answered`, `\Flagged`, `\Draft`, `\Seen \Flagged`}
	for range 1 + rnd.IntN(8) {
		switch rnd.IntN(8) {
		case 0, 1:
			mail := fmt.Sprintf("Subject: %d\r\n\r\nbody\r\n", rnd.Uint32())
			cmds = append(cmds, fmt.Sprintf("APPEND INBOX (%s kw%d) {%d+}\r\n%s", flags[rnd.IntN(5)], rnd.IntN(30), len(mail), mail))
		case 2, 3:
			cmds = append(cmds, fmt.Sprintf("UID STORE %s %sFLAGS (%s)", uid(), []string{"+", "-", ""}[rnd.IntN(3)], flags[rnd.IntN(5)]))
		case 4, 5:
			cmds = append(cmds, fmt.Sprintf("UID STORE %s %sFLAGS.SILENT (KW%d kw%d)", uid(), []string{"+", "-", ""}[rnd.IntN(3)], rnd.IntN(30), rnd.IntN(30)))
		case 6:
			cmds = append(cmds, "UID COPY "+uid()+" INBOX")
		case 7:
			one, _, _ := strings.Cut(strings.ReplaceAll(uid(), ":", ","), ",")
			cmds = append(cmds, "UID STORE "+one+` +FLAGS (\Deleted)`, "EXPUNGE")
		}
	}
	return cmds
}
