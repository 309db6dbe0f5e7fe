package mdbox_test

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/roostmail/roost/mdbox"
	"github.com/roostmail/roost/mdbox/cache"
	"github.com/roostmail/roost/mdbox/check"
	"github.com/roostmail/roost/mdbox/index"
	"github.com/roostmail/roost/mdbox/mdboxtest"
	"github.com/roostmail/roost/mdbox/vfs/crashfs"
)

// crashRoot is where the store of crash tests is.
const crashRoot = "/mail"

// contents are the messages of a store, by mailbox and UID: flags, keywords and text.
type contents map[string]map[uint32]string

// scenario is something that is done to a store, and what must be true after it was acknowledged.
type scenario struct {
	name  string
	write func(w *mdbox.Writing)
	// steps change the store one after the other. want is changed to what the store has then.
	steps []step
	// halfway: what a step may have done when it fails.
	halfway step
	// flagsOnly: only flags are changed, which are durable with mail_fsync=always only.
	flagsOnly bool
}

type step func(s *mdbox.Store, want contents) error

// do takes all steps up to the first that fails, and says which that was.
func (sc *scenario) do(s *mdbox.Store, want contents) (failed int, err error) {
	for i, step := range sc.steps {
		if err := step(s, want); err != nil {
			return i, err
		}
	}
	return len(sc.steps), nil
}

var crashScenarios = []scenario{
	{name: "save", steps: []step{func(s *mdbox.Store, want contents) error { return save(s, "INBOX", want, "one") }}},
	{name: "save three", steps: []step{func(s *mdbox.Store, want contents) error { return save(s, "INBOX", want, "one", "two", "three") }}},
	{name: "save to a new file", write: func(w *mdbox.Writing) { w.RotateSize = 1000 },
		steps: []step{func(s *mdbox.Store, want contents) error { return save(s, "Sent", want, "one", "two") }}},
	{name: "change flags", flagsOnly: true, steps: []step{func(s *mdbox.Store, want contents) error {
		return changeFlags(s, "INBOX", want, mdbox.FlagChange{UIDs: slices.Sorted(maps.Keys(want["INBOX"])), Mode: mdbox.AddFlags,
			Flags: index.FlagAnswered, Keywords: []string{"New"}, UnchangedSince: mdbox.AnyModSeq})
	}}},
	{name: "expunge", steps: []step{func(s *mdbox.Store, want contents) error { return expunge(s, "INBOX", want, 2) }}},
	{name: "replace", steps: []step{func(s *mdbox.Store, want contents) error { return replace(s, "INBOX", want, 2, "new") }}},
	{name: "copy", steps: []step{func(s *mdbox.Store, want contents) error { return copyMessages(s, "INBOX", "Sent", want, false) }}},
	{name: "move", steps: []step{func(s *mdbox.Store, want contents) error { return copyMessages(s, "INBOX", "Sent", want, true) }},
		halfway: func(s *mdbox.Store, want contents) error { return copyMessages(s, "INBOX", "Sent", want, false) }},
	{name: "purge", steps: []step{expungeOne(1), func(s *mdbox.Store, _ contents) error { return purge(s) }}},
	{name: "rotate logs", write: func(w *mdbox.Writing) { w.Index = index.Writing{RotateMaxSize: 50} },
		steps: []step{func(s *mdbox.Store, want contents) error { return save(s, "INBOX", want, "one") }, expungeOne(2)}},
	{name: "write indexes", write: func(w *mdbox.Writing) { w.Index = index.Writing{RewriteMinLog: 1, RewriteMaxLog: 1} },
		steps: []step{func(s *mdbox.Store, want contents) error { return save(s, "INBOX", want, "one") }, expungeOne(2)}},
}

// togetherScenarios are Appends that are committed together, which only this format does.
var togetherScenarios = []scenario{
	{name: "save together", steps: []step{func(s *mdbox.Store, want contents) error {
		return saveTogether(s, "INBOX", want, "one", "two", "three")
	}}},
	{name: "save to new files together", write: func(w *mdbox.Writing) { w.RotateSize = 1000 },
		steps: []step{func(s *mdbox.Store, want contents) error { return saveTogether(s, "Sent", want, "one", "two") }}},
}

func expungeOne(uid uint32) step {
	return func(s *mdbox.Store, want contents) error { return expunge(s, "INBOX", want, uid) }
}

func save(s *mdbox.Store, box string, want contents, tokens ...string) error {
	b, err := s.OpenMailbox(box)
	if err != nil {
		return err
	}
	var mails []mdbox.NewMessage
	for _, token := range tokens {
		mails = append(mails, newMail(token, 600, index.FlagSeen, "$Kw"))
	}
	saved, err := b.Append(context.Background(), mails)
	if err != nil {
		return err
	}
	for i, uid := range saved.UIDs {
		want[box][uid] = row(index.FlagSeen, []string{"$Kw"}, message(tokens[i], 600))
	}
	return nil
}

// saveTogether makes an Append of each message, which are committed together.
func saveTogether(s *mdbox.Store, box string, want contents, tokens ...string) error {
	b, err := s.OpenMailbox(box)
	if err != nil {
		return err
	}
	var mails []mdbox.NewMessage
	for _, token := range tokens {
		mails = append(mails, newMail(token, 600, index.FlagSeen, "$Kw"))
	}
	saved, err := mdbox.AppendTogether(context.Background(), b, mails...)
	if err != nil {
		return err
	}
	for i, s := range saved {
		want[box][s.UIDs[0]] = row(index.FlagSeen, []string{"$Kw"}, message(tokens[i], 600))
	}
	return nil
}

func replace(s *mdbox.Store, box string, want contents, uid uint32, token string) error {
	b, err := s.OpenMailbox(box)
	if err != nil {
		return err
	}
	saved, err := b.Replace(context.Background(), [16]byte{}, uid, newMail(token, 600, index.FlagSeen, "$Kw"))
	if err != nil {
		return err
	}
	delete(want[box], uid)
	want[box][saved.UIDs[0]] = row(index.FlagSeen, []string{"$Kw"}, message(token, 600))
	return nil
}

func changeFlags(s *mdbox.Store, box string, want contents, c mdbox.FlagChange) error {
	b, err := s.OpenMailbox(box)
	if err != nil {
		return err
	}
	if _, err := b.ChangeFlags(context.Background(), c); err != nil {
		return err
	}
	for uid, old := range want[box] {
		var flags uint8
		head, text, _ := strings.Cut(old, "\n")
		f := strings.Fields(head)
		fmt.Sscanf(f[0], "%x", &flags)
		want[box][uid] = row(flags|c.Flags, append(f[1:], c.Keywords...), text)
	}
	return nil
}

func expunge(s *mdbox.Store, box string, want contents, uids ...uint32) error {
	b, err := s.OpenMailbox(box)
	if err != nil {
		return err
	}
	if _, err := b.Expunge(context.Background(), [16]byte{}, uids, false); err != nil {
		return err
	}
	for _, uid := range uids {
		delete(want[box], uid)
	}
	return nil
}

func copyMessages(s *mdbox.Store, from, to string, want contents, move bool) error {
	src, err := s.OpenMailbox(from)
	if err != nil {
		return err
	}
	dst, err := s.OpenMailbox(to)
	if err != nil {
		return err
	}
	copied, err := src.Copy(context.Background(), mdbox.CopyRequest{UIDs: []uint32{1, 3}, To: dst, Move: move})
	if err != nil {
		return err
	}
	for i, uid := range copied.Source {
		want[to][copied.UIDs[i]] = want[from][uid]
		if move {
			delete(want[from], uid)
		}
	}
	return nil
}

func purge(s *mdbox.Store) error {
	_, err := s.Purge(context.Background(), nil)
	return err
}

func row(flags uint8, keywords []string, text string) string {
	k := slices.Clone(keywords)
	slices.Sort(k)
	return fmt.Sprintf("%02x %s\n%s", flags, strings.Join(slices.Compact(k), " "), text)
}

// crashLocation returns where the store in fsys is. One that has no map is an sdbox store.
func crashLocation(t *testing.T, fsys *crashfs.FS) mdbox.Location {
	t.Helper()
	l := testLocation(t, crashRoot)
	if !hasMap(fsys) {
		l.Format = mdbox.FormatSdbox
	}
	return l
}

func hasMap(fsys *crashfs.FS) bool {
	_, err := fsys.Stat(crashRoot + "/storage")
	return err == nil
}

// crashStore opens the store in fsys.
func crashStore(t *testing.T, fsys *crashfs.FS, fsync index.Fsync, write func(*mdbox.Writing)) *mdbox.Store {
	t.Helper()
	w := &mdbox.Writing{Cache: cache.DefaultPolicy(), Fsync: fsync}
	if write != nil {
		write(w)
	}
	return mdbox.New(crashLocation(t, fsys), mdbox.Options{FS: fsys, Write: w})
}

// TestCrash ends the process, or cuts the power, at every operation of every scenario. What was acknowledged before is there, what was
// not is there as a whole or not at all, the store can be read and written, and all references are right.
func TestCrash(t *testing.T) {
	testCrash(t, crashBase(t), slices.Concat(crashScenarios, togetherScenarios))
}

func testCrash(t *testing.T, base *crashfs.FS, scenarios []scenario) {
	for _, sc := range scenarios {
		for _, fsync := range []index.Fsync{index.FsyncOptimized, index.FsyncAlways} {
			t.Run(fmt.Sprintf("%s/fsync %d", sc.name, fsync), func(t *testing.T) {
				t.Parallel()
				for n := 1; n < 10_000; n++ {
					if !crashAt(t, base, sc, fsync, n) || t.Failed() {
						t.Logf("%d operations", n-1)
						return
					}
				}
			})
		}
	}
}

// crashBase is a store as Dovecot has left it.
func crashBase(t *testing.T) *crashfs.FS {
	t.Helper()
	base := crashfs.New()
	if err := base.Load(mdboxtest.Golden(t, "dovecot-2.3/tiny").Root, crashRoot); err != nil {
		t.Fatal(err)
	}
	return base
}

// crashAt lets operation n be the last. It returns false if there are not so many.
func crashAt(t *testing.T, base *crashfs.FS, sc scenario, fsync index.Fsync, n int) bool {
	fsys := base.After(crashfs.LoseNothing, 0)
	before := readContents(t, fsys)
	want := cloneContents(before)
	s := crashStore(t, fsys, fsync, sc.write)
	fsys.Inject(crashfs.Fault{N: n, What: crashfs.PowerCut})
	_, err := sc.do(s, want)
	hit := fsys.Hit()
	s.Close()
	if !hit && err != nil {
		t.Fatalf("without a fault: %v", err)
	}
	for _, loss := range []crashfs.Loss{crashfs.LoseNothing, crashfs.LoseUnsynced, crashfs.LoseData, crashfs.LoseNames} {
		for seed := range uint64(8) {
			if loss != crashfs.LoseSome && seed > 0 {
				break
			}
			after := fsys.After(loss, seed)
			acknowledged := err == nil && (!sc.flagsOnly || loss == crashfs.LoseNothing || fsync == index.FsyncAlways)
			problems := judgeCrash(t, after, before, want, acknowledged)
			if len(problems) > 0 {
				t.Errorf("operation %d, %v, seed %d, acknowledged %v:\n%s\n%s", n, loss, seed, err == nil, strings.Join(problems, "\n"),
					fsys.TraceString(crashfs.Writes))
				return false
			}
		}
	}
	return hit
}

// judgeCrash looks at a store after a crash: first as it is, then after another change.
func judgeCrash(t *testing.T, fsys *crashfs.FS, before, want contents, acknowledged bool) (problems []string) {
	got := readContents(t, fsys)
	for box := range before {
		for uid, text := range got[box] {
			if strings.HasPrefix(text, "error") {
				problems = append(problems, fmt.Sprintf("%s: UID %d: %s", box, uid, text))
			}
		}
		if acknowledged {
			problems = append(problems, missing(box, want[box], got[box])...)
			continue
		}
		for uid, text := range before[box] {
			now, there := got[box][uid]
			if there && now != text && !strings.HasSuffix(now, text[strings.IndexByte(text, '\n'):]) {
				problems = append(problems, fmt.Sprintf("%s: UID %d has another text", box, uid))
			}
		}
	}
	s := crashStore(t, fsys, index.FsyncOptimized, nil)
	defer s.Close()
	if err := save(s, "INBOX", contents{"INBOX": {}}, "afterwards"); err != nil {
		problems = append(problems, fmt.Sprintf("save after the crash: %v", err))
	}
	if hasMap(fsys) {
		problems = append(problems, wrongReferences(t, s)...)
	}
	problems = append(problems, verified(s, fsys)...)
	again := readContents(t, fsys)
	for box := range before {
		problems = append(problems, missing(box, got[box], again[box])...)
	}
	return problems
}

// verified returns what is damaged.
func verified(s *mdbox.Store, fsys *crashfs.FS) (problems []string) {
	report, err := check.Verify(context.Background(), s, check.Options{FS: fsys})
	if err != nil {
		problems = append(problems, err.Error())
	}
	for _, f := range report.Findings {
		if f.Kind == check.Damage {
			problems = append(problems, f.String())
		}
	}
	return problems
}

// missing returns which messages of want are not in got.
func missing(box string, want, got map[uint32]string) (problems []string) {
	for uid, text := range want {
		if got[uid] != text {
			problems = append(problems, fmt.Sprintf("%s: UID %d is %.60q, want %.60q", box, uid, got[uid], text))
		}
	}
	return problems
}

// wrongReferences compares the reference counts of the map with the references that there are.
func wrongReferences(t *testing.T, s *mdbox.Store) (problems []string) {
	t.Helper()
	for uid, n := range mdbox.CountAllReferences(t, s) {
		e, found, err := mdbox.LookupMap(t, s, uid)
		if err != nil || !found || int(e.Refcount) != n {
			problems = append(problems, fmt.Sprintf("map UID %d has %d references, the map says %d (%v, %v)", uid, n, e.Refcount, found, err))
		}
	}
	return problems
}

// readContents reads all of the store in fsys with a new process.
func readContents(t *testing.T, fsys *crashfs.FS) contents {
	t.Helper()
	s := mdbox.New(crashLocation(t, fsys), mdbox.Options{FS: fsys})
	defer s.Close()
	got := contents{}
	list, _, err := s.Mailboxes()
	if err != nil {
		t.Fatal(err)
	}
	for _, info := range list {
		if info.NoSelect || info.NonExistent {
			continue
		}
		got[info.Name] = readBox(s, info.Name)
	}
	return got
}

func readBox(s *mdbox.Store, name string) map[uint32]string {
	b, err := s.OpenMailbox(name)
	if err != nil {
		return map[uint32]string{0: "error: " + err.Error()}
	}
	snap, err := b.Snapshot()
	if err != nil || len(snap.Damage) > 0 {
		return map[uint32]string{0: fmt.Sprintf("error: %v, %v", err, snap)}
	}
	ms, err := b.Messages(snap.Messages.UIDs)
	if err != nil {
		return map[uint32]string{0: "error: " + err.Error()}
	}
	defer ms.Close()
	box := map[uint32]string{}
	c := &snap.Messages
	for i := 0; ms.Next(); i++ {
		var keywords []string
		for k, name := range snap.Keywords {
			if c.HasKeyword(i, k) {
				keywords = append(keywords, name)
			}
		}
		text, err := readText(ms.Message())
		if err != nil {
			box[ms.Message().UID()] = "error: " + err.Error()
			continue
		}
		box[ms.Message().UID()] = row(c.Flags[i], keywords, text)
	}
	return box
}

func readText(m *mdbox.Message) (string, error) {
	r, err := m.NewReader(0, 0)
	if err != nil {
		return "", err
	}
	defer r.Close()
	b := make([]byte, 0, r.Len()+1)
	for {
		n, err := r.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		if err != nil {
			if err == io.EOF {
				return string(b), nil
			}
			return "", err
		}
	}
}

func cloneContents(c contents) contents {
	n := contents{}
	for box, messages := range c {
		n[box] = maps.Clone(messages)
	}
	return n
}
