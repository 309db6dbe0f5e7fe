package index

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/roostmail/roost/mdbox/mdboxtest"
	"github.com/roostmail/roost/mdbox/translog"
	"github.com/roostmail/roost/mdbox/vfs/crashfs"
)

// FuzzSalvage: what is salvaged of any files is a sound state, and an index can be made of it.
func FuzzSalvage(f *testing.F) {
	s := mdboxtest.Golden(f, "dovecot-2.3/small")
	files := func(dir string) (b [4][]byte) {
		for i, name := range []string{"dovecot.index", "dovecot.index.backup", "dovecot.index.log", "dovecot.index.log.2"} {
			b[i], _ = os.ReadFile(filepath.Join(dir, name))
		}
		return b
	}
	for _, box := range []string{"INBOX", "Archive/2024", "Sent"} {
		b := files(s.Mailbox(box))
		f.Add(b[0], b[1], b[2], b[3])
		f.Add([]byte{}, b[1], b[2], b[3])
		f.Add(b[0], []byte{}, b[2][:len(b[2])/2], b[3])
		f.Add(b[0][:len(b[0])/2], []byte{}, b[2], []byte{})
	}
	f.Fuzz(func(t *testing.T, snapshot, backup, log, log2 []byte) {
		if len(snapshot)+len(backup)+len(log)+len(log2) > 1<<16 {
			return
		}
		fsys := crashfs.New()
		for name, b := range map[string][]byte{"": snapshot, ".backup": backup, ".log": log, ".log.2": log2} {
			if len(b) > 0 {
				fsys.WriteFile("/box/dovecot.index"+name, b, 0o600)
			}
		}
		salvageAny(t, fsys)
	})
}

// salvageAny salvages /box, and makes an index of what is found.
func salvageAny(t *testing.T, fsys *crashfs.FS) {
	t.Helper()
	v, err := Salvage(Options{FS: fsys, Dir: "/box", MaxStateBytes: 16 << 20})
	if err != nil || v.State == nil {
		return
	}
	if v.State.UIDValidity() == 0 {
		v.State.SetUIDValidity(1)
	}
	if err := v.State.Check(); err != nil {
		t.Fatal(err)
	}
	b, err := translog.AppendTransaction(nil, v.State.Records(nil)...)
	if err != nil {
		t.Fatal(err)
	}
	h := translog.NewHeader()
	h.IndexID, h.FileSeq, h.InitialModSeq = 1, 5, max(v.State.HighestModSeq(), v.State.logModSeq)
	if _, err := replayed(append(h.Append(nil), b...), &h, DefaultMaxStateBytes); err != nil {
		t.Fatal(err)
	}
}

// TestSalvageAnyDamage damages all files of an index in all ways at once.
func TestSalvageAnyDamage(t *testing.T) {
	s := mdboxtest.Golden(t, "dovecot-2.3/small")
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	for range 3000 {
		box := []string{"INBOX", "Archive/2024", "Sent"}[r.IntN(3)]
		fsys := crashfs.New()
		for _, name := range []string{"dovecot.index", "dovecot.index.backup", "dovecot.index.log", "dovecot.index.log.2"} {
			b, _ := os.ReadFile(filepath.Join(s.Mailbox(box), name))
			if len(b) == 0 || r.IntN(4) == 0 {
				continue
			}
			for range r.IntN(6) {
				b[r.IntN(len(b))] ^= byte(1 + r.IntN(255))
			}
			if r.IntN(3) == 0 {
				at := r.IntN(len(b))
				clear(b[at:min(len(b), at+r.IntN(100))])
			}
			fsys.WriteFile("/box/"+name, b, 0o600)
		}
		salvageAny(t, fsys)
	}
}
