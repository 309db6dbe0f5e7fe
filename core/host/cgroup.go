package host

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// CGroup puts each process of a plugin, with all that it starts, into a control group of its own (cgroup v2). The start fails where that can not be done.
type CGroup struct {
	Dir    string // limits.cgroup: a directory of control groups that core may write to, such as one that systemd has delegated; "" = none
	Memory uint64 // limits.cgroup_memory: bytes (memory.max), 0 = any
	CPU    uint64 // limits.cgroup_cpu: percent of one processor (cpu.max), 0 = any
}

// group is the control group of one process.
type group struct {
	path string
	dir  *os.File // until the process has been started
}

// groups numbers them.
var groups atomic.Uint64

// make makes the group for a process of a plugin.
func (c CGroup) make(plugin string) (g *group, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("limits.cgroup: %w", err)
		}
	}()
	var st unix.Statfs_t
	if err := unix.Statfs(c.Dir, &st); err != nil {
		return nil, fmt.Errorf("%s: %w", c.Dir, err)
	}
	if st.Type != unix.CGROUP2_SUPER_MAGIC {
		return nil, fmt.Errorf("%s is no directory of control groups, version 2", c.Dir)
	}
	return c.create(plugin)
}

// create makes the group in Dir, and gives it its limits.
func (c CGroup) create(plugin string) (g *group, err error) {
	for controller, wanted := range map[string]bool{"memory": c.Memory > 0, "cpu": c.CPU > 0} {
		if wanted {
			if err := c.enable(controller); err != nil {
				return nil, err
			}
		}
	}
	prefix := "roost-" + strings.ReplaceAll(plugin, "/", "-") + "-"
	c.sweep(prefix)
	g = &group{path: filepath.Join(c.Dir, fmt.Sprint(prefix, os.Getpid(), "-", groups.Add(1)))}
	if err := os.Mkdir(g.path, 0o755); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			g.remove()
		}
	}()
	if c.Memory > 0 {
		// Without the second, the kernel may end a child of the plugin and leave the plugin without it.
		if err := errors.Join(g.write("memory.max", strconv.FormatUint(c.Memory, 10)), g.write("memory.oom.group", "1")); err != nil {
			return nil, err
		}
	}
	if c.CPU > 0 {
		const period = 100_000 // µs
		if err := g.write("cpu.max", fmt.Sprint(c.CPU*period/100, " ", period)); err != nil {
			return nil, err
		}
	}
	g.dir, err = os.Open(g.path)
	return g, err
}

// enable lets groups below Dir have a limit.
func (c CGroup) enable(controller string) error {
	control := filepath.Join(c.Dir, "cgroup.subtree_control")
	has := func(file string) bool {
		b, _ := os.ReadFile(file)
		return slices.Contains(strings.Fields(string(b)), controller)
	}
	if has(control) {
		return nil
	}
	if !has(filepath.Join(c.Dir, "cgroup.controllers")) {
		return fmt.Errorf("the controller %s is not available in %s: delegate it (systemd: Delegate=%[1]s)", controller, c.Dir)
	}
	return os.WriteFile(control, []byte("+"+controller), 0)
}

// sweep removes the groups that servers have left which were killed.
func (c CGroup) sweep(prefix string) {
	left, _ := filepath.Glob(filepath.Join(c.Dir, prefix+"*"))
	for _, path := range left {
		text, _, _ := strings.Cut(strings.TrimPrefix(filepath.Base(path), prefix), "-")
		if pid, err := strconv.Atoi(text); err == nil && unix.Kill(pid, 0) == unix.ESRCH {
			_ = os.Remove(path) // fails while there are processes in it
		}
	}
}

func (g *group) write(file, value string) error {
	return os.WriteFile(filepath.Join(g.path, file), []byte(value), 0)
}

// started is called when the process runs in the group, or could not be started.
func (g *group) started() {
	if g.dir != nil {
		g.dir.Close()
		g.dir = nil
	}
}

// removeTime is how long what is left in a group may take to die.
const removeTime = time.Second

// remove kills what is left in the group, and removes it.
func (g *group) remove() {
	g.started()
	_ = g.write("cgroup.kill", "1") // Linux 5.14; before, only what is in the process group was killed
	for end := time.Now().Add(removeTime); ; time.Sleep(time.Millisecond) {
		err := os.Remove(g.path)
		if err == nil || errors.Is(err, fs.ErrNotExist) || time.Now().After(end) {
			return
		}
		if events, err := os.ReadFile(filepath.Join(g.path, "cgroup.events")); err != nil || bytes.Contains(events, []byte("populated 0")) {
			_ = os.Remove(g.path)
			return
		}
	}
}
