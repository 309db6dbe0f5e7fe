package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/roostmail/roost/cmd/internal/rig"
)

// standalone starts a bundled plugin as an operator does.
func standalone(t *testing.T, dir, plugin string) (address string, kill func()) {
	t.Helper()
	path := filepath.Join(dir, filepath.Base(plugin))
	cmd := exec.Command(roostBinary, "plugin", plugin, "--standalone", "--address", "unix://"+path)
	must(t, cmd.Start())
	kill = func() {
		if cmd.ProcessState == nil {
			cmd.Process.Signal(syscall.SIGKILL)
			cmd.Wait()
		}
	}
	t.Cleanup(kill)
	waitFor(t, plugin+" to listen", func() bool { _, err := os.Stat(path); return err == nil })
	return "unix://" + path, kill
}

// TestPluginsAtAddresses: bundled plugins that the operator has started serve roost, and a session outlives the death of one: its next command
// waits until the operator has started it again.
func TestPluginsAtAddresses(t *testing.T) {
	dir := t.TempDir()
	start := func(plugin string) (address string, kill func()) { return standalone(t, dir, plugin) }
	auth, _ := start("auth/passwd-file")
	storage, kill := start("storage/mdbox")
	home := mailHome(t)
	r := startRoost(t, rig.RoostOptions{Home: home, Users: []string{storeUser},
		Over: fmt.Sprintf("[auth]\nplugin = \"a\"\n[storage]\nplugin = \"s\"\n[plugins.a]\nkind = \"auth\"\naddress = %q\n[plugins.s]\nkind = \"storage\"\naddress = %q\n", auth, storage)})
	for name, want := range map[string]string{"a": "auth/passwd-file", "s": "storage/mdbox"} {
		if out, err := exec.Command(roostBinary, "plugin", "info", "--config", r.Config, name).CombinedOutput(); err != nil || !strings.HasPrefix(string(out), want) {
			t.Errorf("plugin info %s: %v\n%s", name, err, out)
		}
	}
	c := login(t, r.Addr, storeUser)
	ok := func(cmd string) {
		t.Helper()
		if _, err := c.Cmd("%s", cmd); err != nil {
			t.Fatalf("%s: %v", cmd, err)
		}
	}
	ok("SELECT INBOX")
	ok("APPEND INBOX {6+}\r\nbefore")
	ok("FETCH 1 BODY.PEEK[]")
	kill()
	// A change that is under way when the plugin dies is not made again: nobody knows whether it was made.
	waitFor(t, "news of the death", func() bool { return strings.Contains(r.Log(), `msg="plugin is down" plugin=storage/s`) })
	start("storage/mdbox")
	ok("STORE 1 +FLAGS (after)")
	ok("APPEND INBOX {5+}\r\nafter")
	ok("FETCH 1:2 (FLAGS BODY.PEEK[])")
}
