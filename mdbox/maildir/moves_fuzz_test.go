package maildir_test

import (
	"testing"

	"github.com/roostmail/roost/mdbox/filelock"
	"github.com/roostmail/roost/mdbox/maildir"
	"github.com/roostmail/roost/mdbox/vfs"
	"github.com/roostmail/roost/mdbox/vfs/crashfs"
)

// FuzzMoves: whatever is noted in tmp/, no message is lost, nothing comes to be anywhere but in cur/, and the note goes away.
func FuzzMoves(f *testing.F) {
	f.Add([]byte("2.b\t2.b:2,\n3.c\t3.c:2,S\n.\n"))
	f.Add([]byte("x\ty\n2.b\t1.a:2,\n3.c\t3.c:2,\n.\n"))
	f.Add([]byte("2.b\t../new/2.b\n../cur/1.a:2,\tq\nx\tx\n"))
	f.Fuzz(func(t *testing.T, note []byte) {
		fsys := crashfs.New()
		for _, dir := range []string{"cur", "new", "tmp"} {
			fsys.MkdirAll(crashDir+"/"+dir, 0o700)
		}
		fsys.WriteFile(crashDir+"/cur/1.a:2,", []byte("1.a"), 0o600)
		fsys.WriteFile(crashDir+"/tmp/2.b", []byte("2.b"), 0o600)
		fsys.WriteFile(crashDir+"/tmp/3.c", []byte("3.c"), 0o600)
		fsys.WriteFile(crashDir+"/tmp/roost.moves", note, 0o600)
		m := maildir.New(&maildir.Config{FS: fsys, Lock: &filelock.Config{FS: fsys, DotlockExcl: true}, Report: func(err error) { t.Error(err) }},
			maildir.Dirs{Mail: crashDir, Control: crashDir}, vfs.Private)
		l, err := m.Lock(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := l.Unlock(); err != nil {
			t.Fatal(err)
		}
		texts := map[string]int{}
		for _, dir := range []string{"cur", "tmp"} {
			entries, err := fsys.ReadDir(crashDir + "/" + dir)
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range entries {
				text, err := vfs.ReadFile(fsys, crashDir+"/"+dir+"/"+e.Name(), 10)
				if err != nil {
					t.Fatal(err)
				}
				texts[string(text)]++
			}
		}
		if len(texts) != 3 || texts["1.a"] != 1 || texts["2.b"] != 1 || texts["3.c"] != 1 {
			t.Errorf("%v", texts)
		}
		if text, err := vfs.ReadFile(fsys, crashDir+"/cur/1.a:2,", 10); string(text) != "1.a" {
			t.Errorf("%q, %v", text, err)
		}
	})
}
