package mailboxlist

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/roostmail/roost/mdbox/vfs"
)

func TestUIDValidityFile(t *testing.T) {
	v, err := DecodeUIDValidity([]byte("6b053493"))
	if err != nil || v != 0x6b053493 {
		t.Errorf("DecodeUIDValidity = %x, %v", v, err)
	}
	if got := string(AppendUIDValidity(nil, 0x00053493)); got != "00053493" {
		t.Errorf("AppendUIDValidity = %q", got)
	}
	for _, bad := range []string{"", "6b05349", "6b0534931", "6B053493", "00000000", "6b05349\n", "+6b05349"} {
		if v, err := DecodeUIDValidity([]byte(bad)); err == nil {
			t.Errorf("%q is accepted as %x", bad, v)
		}
	}
}

func TestLastUIDValidityFallsBackToTheHighestName(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	last := func() uint32 {
		t.Helper()
		v, err := LastUIDValidity(vfs.OS, dir)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	if v := last(); v != 0 {
		t.Errorf("empty directory: %x", v)
	}
	write("dovecot-uidvalidity.00000005", "")
	write("dovecot-uidvalidity.00000007", "")
	write("dovecot-uidvalidity.tmp", "")
	if v := last(); v != 7 {
		t.Errorf("without the file: %x, want 7", v)
	}
	write("dovecot-uidvalidity", "garbage that is too long")
	if v := last(); v != 7 {
		t.Errorf("broken file: %x, want 7", v)
	}
	write("dovecot-uidvalidity", "00000009")
	if v := last(); v != 9 {
		t.Errorf("with the file: %x, want 9", v)
	}
}
