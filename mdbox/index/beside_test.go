package index_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/roostmail/roost/mdbox/filelock"
	"github.com/roostmail/roost/mdbox/index"
	"github.com/roostmail/roost/mdbox/mdboxtest"
	"github.com/roostmail/roost/mdbox/translog"
	"github.com/roostmail/roost/mdbox/vfs"
)

// Dovecot sessions and writers of ours change the same mailbox at the same time, with
// logs that are rotated all the time. Dovecot has nothing to complain of, both see the same, and a
// rebuild finds nothing to do.
func TestWritersBesideDovecot(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	store := mdboxtest.MakeStore(t, "--content", "tiny")
	locks := &filelock.Config{DotlockExcl: true}
	tune := func(w *index.Writing) {
		locks.FS, w.Lock = w.Lock.FS, locks
		w.RotateMaxSize, w.RewriteMaxLog, w.RewriteMinLog = 6000, 1500, 500
	}
	const ours, theirs, steps, conversations, commands = 3, 2, 400, 10, 12
	var all sync.WaitGroup
	var writers []*session
	for i := range ours {
		writers = append(writers, newSession(t, store, "INBOX", seed+uint64(i), tune))
	}
	for i, s := range writers {
		all.Go(func() {
			for n := range steps {
				if err := s.step(); err != nil {
					t.Errorf("writer %d, step %d: %v", i, n, err)
					return
				}
			}
		})
	}
	for i := range theirs {
		rnd := rand.New(rand.NewPCG(seed, uint64(100+i)))
		all.Go(func() {
			for range conversations {
				var cmds []string
				for range commands {
					uid := uint32(1 + rnd.IntN(900))
					cmds = append(cmds, randomCommands(rnd, []uint32{uid, uid + 1, uid + 2, uid + 3, uid + 20})...)
				}
				if err := dovecotSession(store, append(cmds, "FETCH 1:* (UID FLAGS MODSEQ)")); err != nil {
					t.Errorf("dovecot session %d: %v", i, err)
					return
				}
			}
		})
	}
	all.Go(func() {
		for range 5 {
			cmd := exec.Command("doveadm", "-c", store.Conf, "purge")
			cmd.Env = dovecotEnv(store)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("purge: %v\n%s", err, out)
			}
		}
	})
	all.Wait()
	s := writers[0]
	t.Logf("operations of each: %v, log %v, map %v", s.done, s.box.State().Pos(), s.mp.State().Pos())
	noErrors(t, store)

	dumpsAgree(t, s.box.Path()+".log")
	dumpsAgree(t, s.mp.Path()+".log")

	before := store.Describe(t, "INBOX", true)
	for _, w := range writers {
		if _, err := w.box.Refresh(); err != nil {
			t.Fatal(err)
		}
		if _, err := w.mp.Refresh(); err != nil {
			t.Fatal(err)
		}
		compare(t, w.box, before)
	}
	refs := refcounts(s.mp.State())
	store.Doveadm(t, "force-resync", "INBOX")
	noErrors(t, store)
	after := store.Describe(t, "INBOX", true)
	for _, b := range []*mdboxtest.ExpectedMailbox{before, after} {
		b.HighestModSeq = 0 // a rebuild begins a new log
		for i := range b.Mails {
			b.Mails[i].ModSeq = 0
		}
	}
	if d := cmp.Diff(before, after); d != "" {
		t.Errorf("force-resync changed the mailbox (-before +after):\n%s", d)
	}
	if _, err := s.mp.Refresh(); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(refs, refcounts(s.mp.State())); d != "" {
		t.Errorf("force-resync changed refcounts (-before +after):\n%s", d)
	}
}

// dumpsAgree compares the records of a log, and the modseqs that are counted along it, with
// what doveadm dump shows.
func dumpsAgree(t *testing.T, path string) {
	t.Helper()
	out, err := exec.Command("doveadm", "dump", path).CombinedOutput()
	if err != nil {
		t.Fatalf("doveadm dump %s: %v\n%s", path, err, out)
	}
	var theirs, ours []string
	for _, m := range regexp.MustCompile(`(?m)^record: offset=(\d+), .*?size=(\d+)(, modseq=\d+)?`).FindAllStringSubmatch(string(out), -1) {
		theirs = append(theirs, m[1]+" "+m[2]+m[3])
	}
	f, err := translog.OpenFile(vfs.OS, path, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	modSeq := f.Header.InitialModSeq
	if _, err := f.Scan(uint32(f.Header.HdrSize), f.Info.Size, func(r *translog.Record) error {
		line := fmt.Sprintf("%d %d", r.Pos.Offset, r.Header.Size)
		if next := translog.NextModSeq(modSeq, r, f.Header.MinorVersion); next != modSeq {
			line, modSeq = fmt.Sprintf("%s, modseq=%d", line, next), next
		}
		ours = append(ours, line)
		return nil
	}); err != nil {
		t.Error(err)
	}
	if d := cmp.Diff(theirs, ours); d != "" {
		t.Errorf("%s: offset, size and modseq of records (-doveadm +ours):\n%s", path, d)
	}
}

func refcounts(s *index.State) map[uint32]uint16 {
	refs := map[uint32]uint16{}
	for i, uid := range s.UIDs() {
		refs[uid] = binary.LittleEndian.Uint16(s.Ext("ref").Record(i))
	}
	return refs
}

// dovecotSession runs commands as Store.IMAP does. Some may be answered with NO, since
// messages come and go. The input stays open until LOGOUT was answered: Dovecot ends a
// session at the end of its input, whatever it has not answered yet.
func dovecotSession(store *mdboxtest.Store, commands []string) error {
	cmd := exec.Command("/usr/lib/dovecot/imap", "-c", store.Conf)
	cmd.Env = dovecotEnv(store)
	var out, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	for _, c := range append(commands, "LOGOUT") {
		if _, err = io.WriteString(in, "a "+c+"\r\n"); err != nil {
			break
		}
	}
	if err := errors.Join(err, cmd.Wait()); err != nil {
		return fmt.Errorf("%w\n%s%s", err, out.Bytes(), stderr.Bytes())
	}
	b := out.Bytes()
	if n := bytes.Count(b, []byte("\r\na ")); n != len(commands)+1 || bytes.Contains(b, []byte("\r\na BAD")) || bytes.Contains(b, []byte("nternal error")) {
		return fmt.Errorf("%d answers to %d commands, the last:\n%s", n, len(commands)+1, b[max(0, len(b)-2000):])
	}
	return nil
}

func dovecotEnv(store *mdboxtest.Store) []string {
	return append(os.Environ(), "HOME="+store.Home, "USER="+store.Expected.User)
}

// noErrors checks that Dovecot's log has nothing but information.
func noErrors(t *testing.T, store *mdboxtest.Store) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(filepath.Dir(store.Conf), "dovecot.log"))
	if err != nil {
		t.Fatal(err)
	}
	lines := slices.Collect(strings.Lines(string(b)))
	lines = slices.DeleteFunc(lines, func(l string) bool {
		return !strings.Contains(l, "Error:") && !strings.Contains(l, "Warning:") && !strings.Contains(l, "Panic:") && !strings.Contains(l, "Fatal:")
	})
	if len(lines) > 0 {
		t.Errorf("%d lines in Dovecot's log, the first:\n%s", len(lines), strings.Join(lines[:min(len(lines), 10)], ""))
	}
}
