package mailboxlist

import (
	"errors"
	"io/fs"
	"path/filepath"
	"testing"

	"github.com/roostmail/roost/mdbox/vfs"
)

// What Dovecot 2.3.19 makes in a root of mode mode and group 7 (see also TestModesAreDovecots in package mdbox).
func TestPermissionsOf(t *testing.T) {
	perm := func(file, dir fs.FileMode, gid int) Permissions {
		return Permissions{File: vfs.Perm{Mode: file, GID: gid}, Dir: dir}
	}
	for _, c := range []struct {
		mode fs.FileMode
		want Permissions
	}{
		{0o700, perm(0o600, 0o700, -1)},
		{0o711, perm(0o600, 0o711, -1)},
		{0o755, perm(0o644, 0o755, -1)},
		{0o750, perm(0o640, 0o750, 7)},
		{0o770, perm(0o660, 0o770, 7)},
		{0o777, perm(0o666, 0o777, -1)},
		{0o770 | fs.ModeSetgid, perm(0o660, 0o770, -1)},
		{0o500, perm(0o600, 0o700, -1)},
	} {
		if got := PermissionsOf(vfs.Info{Dir: true, Perm: c.mode, GID: 7}); got != c.want {
			t.Errorf("%v: %+v, want %+v", c.mode, got, c.want)
		}
	}
	if got, want := PermissionsOf(vfs.Info{Perm: 0o640, GID: 7}), perm(0o640, 0o750, 7); got != want {
		t.Errorf("a file: %+v, want %+v", got, want)
	}
}

func TestMkdirMakesWhatIsMissing(t *testing.T) {
	top := t.TempDir()
	p := Permissions{File: vfs.Perm{Mode: 0o640, GID: -1}, Dir: 0o751}
	made, err := p.Mkdir(vfs.OS, filepath.Join(top, "a", "b", "c"))
	if err != nil || made != filepath.Join(top, "a") {
		t.Errorf("Mkdir: made %q, %v", made, err)
	}
	for _, d := range []string{"a", "a/b", "a/b/c"} {
		if st, err := vfs.OS.Stat(filepath.Join(top, d)); err != nil || st.Perm != 0o751 {
			t.Errorf("%s: %v, %v", d, st.Perm, err)
		}
	}
	if made, err := p.Mkdir(vfs.OS, filepath.Join(top, "a", "b")); !errors.Is(err, fs.ErrExist) || made != "" {
		t.Errorf("Mkdir of what is there: made %q, %v", made, err)
	}
	if made, err := p.Mkdir(vfs.OS, filepath.Join(top, "a", "d")); err != nil || made != filepath.Join(top, "a", "d") {
		t.Errorf("Mkdir: made %q, %v", made, err)
	}
}
