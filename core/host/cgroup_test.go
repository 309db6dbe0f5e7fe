package host

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// cgroupDir makes a directory of control groups, if there is a writable hierarchy of version 2. It is removed at the end, which fails if a group is left.
func cgroupDir(t *testing.T) (dir string, controllers []string) {
	t.Helper()
	for _, root := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/unified"} {
		var st unix.Statfs_t
		if unix.Statfs(root, &st) != nil || st.Type != unix.CGROUP2_SUPER_MAGIC {
			continue
		}
		dir := filepath.Join(root, fmt.Sprint("roost-test-", os.Getpid()))
		if os.Mkdir(dir, 0o755) != nil {
			continue
		}
		t.Cleanup(func() {
			if err := os.Remove(dir); err != nil {
				t.Error(err)
			}
		})
		b, err := os.ReadFile(filepath.Join(dir, "cgroup.controllers"))
		if err != nil {
			t.Fatal(err)
		}
		return dir, strings.Fields(string(b))
	}
	return "", nil
}

// TestCGroup: each process has a group of its own, which goes with it. Where the machine has no writable control groups, or not the controller, the
// start is refused with the reason.
func TestCGroup(t *testing.T) {
	dir, controllers := cgroupDir(t)
	refused := func(what string, edit func(*Config), want string) {
		t.Helper()
		h, _ := newHost(t)
		c := testConfig(t)
		edit(&c)
		if _, err := h.Start(t.Context(), c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", what, err, want)
		}
	}
	plain := t.TempDir()
	refused("a directory of files", func(c *Config) { c.CGroup = CGroup{Dir: plain} }, "is no directory of control groups")
	refused("no directory", func(c *Config) { c.CGroup = CGroup{Dir: plain + "/none"} }, "no such file")
	if dir == "" {
		t.Log("no writable control groups of version 2: only the refusal is tested")
		return
	}
	limits := CGroup{Dir: dir}
	for controller, set := range map[string]func(*CGroup){"memory": func(g *CGroup) { g.Memory = 512 << 20 }, "cpu": func(g *CGroup) { g.CPU = 150 }} {
		if slices.Contains(controllers, controller) {
			set(&limits)
			continue
		}
		refused("no controller "+controller, func(c *Config) { c.CGroup = CGroup{Dir: dir}; set(&c.CGroup) }, "the controller "+controller+" is not available")
	}
	if err := os.Mkdir(filepath.Join(dir, "roost-test-4194304-1"), 0o755); err != nil { // of a server that was killed: no process has this number
		t.Fatal(err)
	}

	h, _ := newHost(t)
	c := testConfig(t)
	c.CGroup = limits
	p := mustStart(t, h, c)
	group := func() string {
		t.Helper()
		pid := pidOf(t, p)
		found, err := filepath.Glob(filepath.Join(dir, "roost-test-*"))
		if err != nil || len(found) != 1 {
			t.Fatalf("groups %v, %v", found, err)
		}
		if b, err := os.ReadFile(filepath.Join(found[0], "cgroup.procs")); err != nil || strings.TrimSpace(string(b)) != fmt.Sprint(pid) {
			t.Errorf("in %s are %q, %v; want %d", found[0], b, err, pid)
		}
		return found[0]
	}
	first := group()
	for file, want := range map[string]string{"memory.max": "536870912", "memory.oom.group": "1", "cpu.max": "150000 100000"} {
		if b, err := os.ReadFile(filepath.Join(first, file)); err == nil && (limits.Memory > 0 || limits.CPU > 0) && strings.TrimSpace(string(b)) != want {
			t.Errorf("%s is %q, want %q", file, b, want)
		}
	}
	kill(t, p)
	second := group()
	if second == first {
		t.Error("the next process is in the group of the dead one")
	}
	c.Files = 100 // by way of the host's own program
	if err := p.Reload(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	waitUntil(t, "end of the old group", func() bool { _, err := os.Stat(second); return os.IsNotExist(err) })
	group()
}
