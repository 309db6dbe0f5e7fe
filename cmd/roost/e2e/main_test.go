package e2e

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/roostmail/roost/cmd/internal/rig"
)

// roostBinary is the binary under test, built once from this tree.
var roostBinary string

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, remove, err := rig.Dir("roost-e2e-bin-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer remove()
	roostBinary = filepath.Join(dir, "roost")
	storesDir = filepath.Join(dir, "stores")
	if err := os.Mkdir(storesDir, 0o755); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	build := exec.Command("go", "build", "-o", roostBinary, "github.com/roostmail/roost/cmd/roost")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "building roost:", err)
		return 1
	}
	return m.Run()
}

// tempDir is t.TempDir with a mode that lets Dovecot's unprivileged processes in.
func tempDir(t *testing.T) string {
	t.Helper()
	dir, remove, err := rig.Dir("roost-e2e-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(remove)
	return dir
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func cmd(t *testing.T, c *rig.Client, format string, args ...any) [][]byte {
	t.Helper()
	u, err := c.Cmd(format, args...)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func startDovecot(t *testing.T, o rig.DovecotOptions) *rig.Dovecot {
	t.Helper()
	if o.Dir == "" {
		o.Dir = tempDir(t)
	}
	d, err := rig.StartDovecot(o)
	must(t, err)
	t.Cleanup(func() {
		if err := d.Stop(); err != nil {
			t.Error(err)
		}
		reportLog(t, "Dovecot's log", d.Log)
	})
	return d
}

func startRoost(t *testing.T, o rig.RoostOptions) *rig.Roost {
	t.Helper()
	o.Binary = roostBinary
	if o.Dir == "" {
		o.Dir = tempDir(t)
	}
	r, err := rig.StartRoost(o)
	must(t, err)
	t.Cleanup(func() {
		if err := r.Stop(); err != nil && !errors.Is(err, os.ErrProcessDone) {
			t.Error(err)
		}
		if t.Failed() {
			t.Logf("roost's log:\n%s", r.Log())
		}
	})
	return r
}

// login connects to addr in plaintext and logs in.
func login(t *testing.T, addr, user string) *rig.Client {
	t.Helper()
	c, err := rig.Login(addr, user)
	must(t, err)
	t.Cleanup(c.Close)
	return c
}

func reportLog(t *testing.T, what, path string) {
	if !t.Failed() {
		return
	}
	b, _ := os.ReadFile(path)
	t.Logf("%s:\n%s", what, b)
}

// mailHome makes the directory of the users' homes, which Dovecot's mail processes can write to.
func mailHome(t *testing.T) string {
	t.Helper()
	mail := filepath.Join(tempDir(t), "mail")
	must(t, os.Mkdir(mail, 0o755))
	must(t, os.Chown(mail, rig.MailUID, rig.MailUID))
	return filepath.Join(mail, "%u")
}
