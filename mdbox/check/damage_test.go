package check_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash/fnv"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/roostmail/roost/mdbox"
	"github.com/roostmail/roost/mdbox/check"
	"github.com/roostmail/roost/mdbox/mdboxtest"
)

// message is what must not be lost of a message.
type message struct {
	guid, hash, flags string
}

// contents are the messages of a store, by mailbox and UID.
type contents map[string]map[uint32]message

// box is what must not go backwards.
type boxState struct {
	uidValidity, uidNext uint32
	modSeq               uint64
}

// read reads a whole store. What can not be read is left out.
func read(t *testing.T, s *mdbox.Store) (contents, map[string]boxState) {
	t.Helper()
	got, states := contents{}, map[string]boxState{}
	list, _, err := s.Mailboxes()
	if err != nil {
		t.Fatal(err)
	}
	for _, info := range list {
		if info.NoSelect || info.NonExistent {
			continue
		}
		b, err := s.OpenMailbox(info.Name)
		if err != nil {
			continue
		}
		snap, err := b.Snapshot()
		if err != nil {
			continue
		}
		states[info.Name] = boxState{snap.UIDValidity, snap.UIDNext, snap.HighestModSeq}
		got[info.Name] = messagesOf(b, snap)
	}
	return got, states
}

func messagesOf(b *mdbox.Mailbox, snap *mdbox.Snapshot) map[uint32]message {
	res := map[uint32]message{}
	c := &snap.Messages
	ms, err := b.Messages(c.UIDs)
	if err != nil {
		return res
	}
	defer ms.Close()
	for ms.Next() {
		m := ms.Message()
		i, found := slices.BinarySearch(c.UIDs, m.UID())
		if !found {
			continue
		}
		flags := []string{fmt.Sprintf("%02x", c.Flags[i]&0x1f)}
		for k, name := range snap.Keywords {
			if c.HasKeyword(i, k) {
				flags = append(flags, name)
			}
		}
		slices.Sort(flags[1:])
		x := message{flags: strings.Join(flags, " ")}
		guid, _ := m.GUID()
		x.guid = guid
		if r, err := m.NewText(); err == nil {
			h := sha256.New()
			if _, err := io.Copy(h, r); err == nil {
				x.hash = hex.EncodeToString(h.Sum(nil))[:16]
			}
			r.Close()
		}
		res[m.UID()] = x
	}
	return res
}

// losses counts what is in before and not in after.
type losses struct{ messages, uids, flags, damaged int }

func (l losses) String() string {
	return fmt.Sprintf("%d messages, %d UIDs, %d flags", l.messages, l.uids, l.flags)
}

func compare(before, after contents) (l losses) {
	where := map[string]string{} // GUID → hash
	for _, box := range after {
		for _, m := range box {
			where[m.guid] += m.hash + " "
		}
	}
	for name, box := range before {
		for uid, m := range box {
			now, there := after[name][uid]
			switch hashes, ok := where[m.guid]; {
			case !ok || strings.TrimSpace(hashes) == "":
				l.messages++
			case !strings.Contains(hashes, m.hash):
				l.damaged++
			}
			if !there || now.guid != m.guid {
				l.uids++
			}
			if m.flags != "00" && (!there || now.flags != m.flags) {
				l.flags++
			}
		}
	}
	return l
}

// damage is a way to damage a file.
type damage struct {
	name string
	do   func(r *rand.Rand, path string) error
}

func change(f func(r *rand.Rand, b []byte) []byte) func(r *rand.Rand, path string) error {
	return func(r *rand.Rand, path string) error {
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(path, f(r, b), 0o600)
	}
}

var damages = []damage{
	{"truncate", change(func(r *rand.Rand, b []byte) []byte { return b[:r.IntN(len(b))] })},
	{"zero", change(func(r *rand.Rand, b []byte) []byte {
		at := r.IntN(len(b))
		clear(b[at:min(len(b), at+1+r.IntN(200))])
		return b
	})},
	{"flip", change(func(r *rand.Rand, b []byte) []byte {
		for range 1 + r.IntN(8) {
			b[r.IntN(len(b))] ^= byte(1 + r.IntN(255))
		}
		return b
	})},
	{"start", change(func(r *rand.Rand, b []byte) []byte { clear(b[:min(len(b), 16+r.IntN(64))]); return b })},
	{"delete", func(_ *rand.Rand, path string) error { return os.Remove(path) }},
}

// kinds are the files to be damaged, as patterns below the root.
var kinds = []string{"index", "backup", "log", "log2", "map index", "map log", "cache", "m.N", "list index"}

func kindOf(path string) string {
	base := filepath.Base(path)
	switch {
	case strings.HasPrefix(base, "m."):
		return "m.N"
	case strings.HasPrefix(base, "dovecot.map.index.log"):
		return "map log"
	case strings.HasPrefix(base, "dovecot.map.index"):
		return "map index"
	case strings.HasPrefix(base, "dovecot.list.index"):
		return "list index"
	case base == "dovecot.index":
		return "index"
	case base == "dovecot.index.backup":
		return "backup"
	case base == "dovecot.index.log":
		return "log"
	case base == "dovecot.index.log.2":
		return "log2"
	case base == "dovecot.index.cache":
		return "cache"
	}
	return ""
}

func filesOf(t *testing.T, root, kind string) (files []string) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && kindOf(path) == kind {
			rel, _ := filepath.Rel(root, path)
			files = append(files, rel)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func seedOf(s string) *rand.Rand {
	h := fnv.New64a()
	h.Write([]byte(s))
	return rand.New(rand.NewPCG(h.Sum64(), 1))
}

func openToWrite(t *testing.T, s *mdboxtest.Store) *mdbox.Store {
	t.Helper()
	location := "mdbox:" + s.Root
	if _, err := os.Stat(s.Alt); err == nil {
		location += ":ALT=" + s.Alt
	}
	tmpl, err := mdbox.ParseLocation(location)
	if err != nil {
		t.Fatal(err)
	}
	l, err := tmpl.Resolve(mdbox.Vars{}, "/")
	if err != nil {
		t.Fatal(err)
	}
	m := mdbox.New(l, mdbox.Options{AttachmentDir: s.Attachments, Write: &mdbox.Writing{}})
	t.Cleanup(func() { m.Close() })
	return m
}

// TestRebuildDamage damages one file of a store in many ways. Afterwards the store is in order, and nothing is lost that is still somewhere.
func TestRebuildDamage(t *testing.T) {
	for _, store := range []string{"dovecot-2.3/small"} {
		for _, kind := range kinds {
			for _, d := range damages {
				t.Run(store+"/"+kind+"/"+d.name, func(t *testing.T) {
					var sum losses
					for n := range 4 {
						s := mdboxtest.Golden(t, store)
						files := filesOf(t, s.Root, kind)
						if len(files) == 0 {
							t.Log("there is no such file")
							return
						}
						r := seedOf(fmt.Sprint(t.Name(), n))
						file := files[r.IntN(len(files))]
						before, states := read(t, openToWrite(t, s))
						if err := d.do(r, filepath.Join(s.Root, file)); err != nil {
							t.Fatal(err)
						}
						l := rebuildAndJudge(t, s, before, states, fmt.Sprintf("%s, %d", file, n))
						sum.messages += l.messages
						sum.uids += l.uids
						sum.flags += l.flags
						sum.damaged += l.damaged
					}
					t.Logf("lost: %v, damaged texts %d", sum, sum.damaged)
				})
			}
		}
	}
}

func rebuildAndJudge(t *testing.T, s *mdboxtest.Store, before contents, states map[string]boxState, what string) losses {
	t.Helper()
	m := openToWrite(t, s)
	repairs, err := check.Rebuild(context.Background(), m, check.RebuildOptions{})
	if err != nil {
		t.Errorf("%s: rebuild: %v", what, err)
	}
	after, now := read(t, openToWrite(t, s))
	l := compare(before, after)
	if r := verify(t, s); !r.Clean() {
		t.Errorf("%s: after the rebuild:", what)
		for _, f := range r.Findings {
			if f.Kind == check.Damage {
				t.Error(f)
			}
		}
	}
	for name, was := range states {
		is := now[name]
		if !repairs.Changed() {
			continue
		}
		if is.uidValidity < was.uidValidity || is.uidValidity == was.uidValidity && (is.uidNext < was.uidNext || is.modSeq < was.modSeq) {
			t.Errorf("%s: mailbox %s: UIDVALIDITY, UIDNEXT, HIGHESTMODSEQ %v, were %v", what, name, is, was)
		}
	}
	if t.Failed() || l != (losses{}) {
		for _, f := range repairs.Found.Findings {
			t.Logf("%s: found %v", what, f)
		}
		for _, d := range repairs.Done {
			t.Logf("%s: %v", what, d)
		}
		t.Logf("%s: lost %v, damaged %d", what, l, l.damaged)
	}
	return l
}
