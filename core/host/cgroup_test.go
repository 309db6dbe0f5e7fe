package host

import (
	"fmt"
	"io/fs"
	"maps"
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

// TestCGroupLimits looks at what is written into the files of a group. TestCGroup has the kernel read it, where there are control groups with the
// controllers; here the directory is one of files, which take anything, so that the limits are looked at everywhere.
func TestCGroupLimits(t *testing.T) {
	read := func(path string) string {
		t.Helper()
		b, err := os.ReadFile(path)
		if err != nil && !os.IsNotExist(err) {
			t.Error(err)
		}
		return string(b)
	}
	// delegated makes a directory as systemd delegates it: it has controllers, of which groups below it have those in enabled.
	delegated := func(t *testing.T, enabled string) string {
		dir := t.TempDir()
		for file, text := range map[string]string{"cgroup.controllers": "cpuset cpu io memory pids\n", "cgroup.subtree_control": enabled} {
			if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		return dir
	}
	for _, c := range []struct {
		name, enabled string
		limits        CGroup
		control       string // what is in cgroup.subtree_control then
		files         map[string]string
	}{
		{"none", "", CGroup{}, "", nil},
		{"memory", "", CGroup{Memory: 512 << 20}, "+memory", map[string]string{"memory.max": "536870912", "memory.oom.group": "1"}},
		{"a large memory", "memory\n", CGroup{Memory: 1 << 62}, "memory\n", map[string]string{"memory.max": "4611686018427387904", "memory.oom.group": "1"}},
		{"half a processor", "", CGroup{CPU: 50}, "+cpu", map[string]string{"cpu.max": "50000 100000"}},
		{"many processors", "cpu memory\n", CGroup{CPU: 6400}, "cpu memory\n", map[string]string{"cpu.max": "6400000 100000"}},
		{"one percent", "cpu memory\n", CGroup{CPU: 1}, "cpu memory\n", map[string]string{"cpu.max": "1000 100000"}},
		{"both", "cpu memory\n", CGroup{Memory: 1 << 20, CPU: 150}, "cpu memory\n", map[string]string{"memory.max": "1048576", "memory.oom.group": "1", "cpu.max": "150000 100000"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.limits.Dir = delegated(t, c.enabled)
			g, err := c.limits.create("storage/mdbox")
			if err != nil {
				t.Fatal(err)
			}
			defer g.started()
			if filepath.Dir(g.path) != c.limits.Dir || !strings.HasPrefix(filepath.Base(g.path), fmt.Sprint("roost-storage-mdbox-", os.Getpid(), "-")) {
				t.Errorf("the group is %s", g.path)
			}
			if got := read(filepath.Join(c.limits.Dir, "cgroup.subtree_control")); got != c.control {
				t.Errorf("cgroup.subtree_control is %q, want %q", got, c.control)
			}
			files := map[string]string{}
			if err := filepath.WalkDir(g.path, func(path string, d fs.DirEntry, err error) error {
				if err == nil && !d.IsDir() {
					if err = os.Chmod(path, 0o600); err == nil {
						files[d.Name()] = read(path)
					}
				}
				return err
			}); err != nil {
				t.Fatal(err)
			}
			if !maps.Equal(files, c.files) {
				t.Errorf("written is %q, want %q", files, c.files)
			}
		})
	}
	t.Run("a controller that is not delegated", func(t *testing.T) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "cgroup.controllers"), []byte("cpu pids\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := (CGroup{Dir: dir, Memory: 1}).create("x"); err == nil || !strings.Contains(err.Error(), "the controller memory is not available in "+dir) {
			t.Error(err)
		}
		if left, _ := filepath.Glob(filepath.Join(dir, "roost-*")); len(left) > 0 {
			t.Errorf("left is %v", left)
		}
	})
	t.Run("a limit that can not be enabled", func(t *testing.T) { // as where there are processes in the directory itself
		dir := delegated(t, "")
		if err := os.Remove(filepath.Join(dir, "cgroup.subtree_control")); err != nil {
			t.Fatal(err)
		}
		if err := os.Mkdir(filepath.Join(dir, "cgroup.subtree_control"), 0o700); err != nil {
			t.Fatal(err)
		}
		if _, err := (CGroup{Dir: dir, CPU: 100}).create("x"); err == nil || !strings.Contains(err.Error(), "cgroup.subtree_control") {
			t.Error(err)
		}
	})
}
