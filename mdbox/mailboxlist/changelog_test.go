package mailboxlist

import (
	"bytes"
	"encoding/hex"
	"os"
	"path/filepath"
	"testing"

	"github.com/roostmail/roost/mdbox/vfs"
)

func TestChangeCodec(t *testing.T) {
	// Written by Dovecot 2.3.19 when "q/z" was deleted.
	b, err := hex.DecodeString("020000007df9e6457bfd00f88febcb1a0aa11e0d6b081935")
	if err != nil {
		t.Fatal(err)
	}
	want := Change{Type: ChangeDirDeleted, GUID: NameGUID("q/z"), Time: 0x6b081935}
	got, err := DecodeChange(b)
	if err != nil || got != want {
		t.Errorf("DecodeChange: %+v, %v; want %+v", got, err, want)
	}
	if !bytes.Equal(want.Append(nil), b) {
		t.Errorf("Append: %x, want %x", want.Append(nil), b)
	}
	if _, err := DecodeChange(b[1:]); err == nil {
		t.Error("a record that is cut off is accepted")
	}
}

func TestChangeLogIsRotated(t *testing.T) {
	path := filepath.Join(t.TempDir(), ChangeLogName)
	size := func(name string) int64 {
		st, err := os.Stat(name)
		if err != nil {
			return -1
		}
		return st.Size()
	}
	for i := range 171 {
		if err := AppendChange(vfs.OS, path, vfs.Private, Change{Type: ChangeRenamed, Time: uint32(i)}); err != nil {
			t.Fatal(err)
		}
	}
	if size(path) != -1 || size(path+".2") != 171*changeSize {
		t.Fatalf("after 171 records: %d and %d bytes, want none and %d", size(path), size(path+".2"), 171*changeSize)
	}
	if err := AppendChange(vfs.OS, path, vfs.Private, Change{Type: ChangeRenamed}); err != nil || size(path) != changeSize {
		t.Errorf("after one more: %v, %d bytes", err, size(path))
	}
	st, err := vfs.OS.Stat(path)
	if err != nil || st.Perm != 0o600 {
		t.Errorf("%v, %v; want 0600", st.Perm, err)
	}
}

func FuzzChange(f *testing.F) {
	f.Add(Change{Type: ChangeDeleted, GUID: NameGUID("x"), Time: 1}.Append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := DecodeChange(b)
		if err != nil {
			return
		}
		if again, err := DecodeChange(c.Append(nil)); err != nil || again != c {
			t.Fatalf("%x: %+v, then %+v, %v", b, c, again, err)
		}
	})
}
