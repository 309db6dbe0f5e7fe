package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/roostmail/roost/cmd/internal/herd"
	"github.com/roostmail/roost/cmd/internal/rig"
	"github.com/roostmail/roost/cmd/internal/traffic"
)

// plagues are the plugins that TestPluginsKilledInTurn kills.
var plagues = []string{"auth/passwd-file", "storage/mdbox", "hibernation/adaptive"}

// plagueTime is how long that takes: ROOST_SOAK, else ten seconds.
func plagueTime(t *testing.T) time.Duration {
	t.Helper()
	if os.Getenv("ROOST_SOAK") == "" {
		return 10 * time.Second
	}
	return soak(t)
}

// descriptors counts what a process has open beside its TCP sockets, by kind.
func descriptors(t *testing.T, pid int) map[string]int {
	t.Helper()
	tcp := map[string]bool{}
	for _, f := range []string{"tcp", "tcp6"} {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/%s", pid, f))
		must(t, err)
		for line := range strings.Lines(string(b)) {
			if w := strings.Fields(line); len(w) > 9 {
				tcp["socket:["+w[9]+"]"] = true
			}
		}
	}
	counts := map[string]int{}
	dir := fmt.Sprintf("/proc/%d/fd", pid)
	entries, err := os.ReadDir(dir)
	must(t, err)
	for _, e := range entries {
		if to, err := os.Readlink(filepath.Join(dir, e.Name())); err == nil && !tcp[to] {
			kind, _, _ := strings.Cut(to, ":")
			if strings.HasPrefix(to, "/") {
				kind = "file"
			}
			counts[kind]++
		}
	}
	return counts
}

// anew kills every plugin, and returns when others answer in their places.
func anew(t *testing.T, r *rig.Roost) {
	t.Helper()
	for _, name := range plagues {
		old := 0
		waitFor(t, "plugin "+name, func() bool {
			pid, err := r.PluginPID(name)
			old = pid
			return err == nil
		})
		must(t, syscall.Kill(old, syscall.SIGKILL))
		waitFor(t, "another process of "+name, func() bool {
			pid, err := r.PluginPID(name)
			return err == nil && pid != old
		})
	}
	c := login(t, r.Addr, "u0")
	cmd(t, c, "SELECT INBOX")
	cmd(t, c, "FETCH 1 BODY.PEEK[]")
	c.Close()
}

// answered matches a line of the trace that ends in an answer, or in the farewell to a session whose mailbox another has deleted.
var answered = regexp.MustCompile(`(?m)": "(OK|NO|\* BYE Selected mailbox was deleted)[^\n]*$`)

// TestPluginsKilledInTurn kills a plugin every second, each in its turn, under a thousand sessions in every state and the work of
// eight more. No session is lost, nothing that was acknowledged is missing, and nothing of the dead stays behind.
func TestPluginsKilledInTurn(t *testing.T) {
	const sessions = 1000
	d := startDovecot(t, rig.DovecotOptions{})
	r := startRoost(t, rig.RoostOptions{Home: filepath.Join(filepath.Dir(d.Conf), "mail", "%u"), Users: []string{storeUser, "u0"},
		Extra: "[hibernation]\nplugin = \"adaptive\"\n[limits]\nuser_address_sessions = 0\nunauthenticated_address_sessions = 0\n"})
	c := login(t, r.Addr, "u0")
	cmd(t, c, "APPEND INBOX {21+}\r\nSubject: one\r\n\r\ntext\r\n")
	c.Close()
	h := openHerd(t, herd.Options{Addr: r.Addr, TLSAddr: r.TLSAddr, Users: "u0", N: sessions, TLS: "mix", Mix: everyState(t)})
	core := r.CorePIDs()[0]
	anew(t, r)
	before := descriptors(t, core)

	killed := map[string]int{}
	turn := 0
	stop := every(t, func() {
		name := plagues[turn%len(plagues)]
		if pid, err := r.PluginPID(name); err == nil {
			turn++
			killed[name]++
			syscall.Kill(pid, syscall.SIGKILL)
		}
	})
	length := plagueTime(t)
	woken := make(chan int)
	go func() {
		n := 0
		for end := time.Now().Add(length); time.Now().Before(end); {
			for _, c := range []herd.Command{herd.Noop, herd.Fetch, herd.DoneFetch} {
				got := h.Wake(herd.Waking{Command: c, Clients: 4, For: min(time.Second, time.Until(end))})
				if n += len(got.Latencies); got.Lost > 0 {
					t.Errorf("%v: %d lost: %s", c, got.Lost, got.Error)
					woken <- n
					return
				}
			}
		}
		woken <- n
	}()
	var trace syncBuffer
	l := work(t, length, traffic.Config{Tolerant: true, Trace: &trace, Servers: []traffic.Server{{Name: "r", Addr: r.Addr, Clients: 8}}})
	answers := <-woken
	t.Logf("killed %d times: %v; the herd had %d answers", stop(), killed, answers)
	for _, name := range plagues {
		if killed[name] < 2 {
			t.Errorf("%s was killed %d times", name, killed[name])
		}
	}
	for line := range strings.Lines(trace.String()) {
		if !answered.MatchString(line) {
			t.Errorf("a session at work: %s", line)
		}
	}
	if c := h.Check(); c.Lost != 0 || c.Alive != sessions {
		t.Errorf("%d alive, %d lost %v: %s", c.Alive, c.Lost, c.LostIn, c.Error)
	}
	if lost, ended := r.CorePIDs(), core; len(lost) != 1 || lost[0] != ended {
		t.Errorf("core is %v, was %d", lost, core)
	}

	anew(t, r)
	waitFor(t, "three processes of plugins, no zombie", func() bool {
		tree := rig.Tree(core)
		for _, pid := range tree {
			if b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)); err != nil || strings.Contains(string(b), ") Z ") {
				return false
			}
		}
		return len(tree) == 1+len(plagues)
	})
	var now map[string]int
	end := time.Now().Add(30 * time.Second)
	// What is leaked with a process is leaked with each. Lanes come and go with the calls that are made at once.
	for leaked := true; leaked && time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		now, leaked = descriptors(t, core), false
		for kind, n := range now {
			leaked = leaked || n >= before[kind]+turn
		}
	}
	for kind, n := range now {
		if n >= before[kind]+turn {
			t.Errorf("core has %d descriptors of kind %s, before %d", n, kind, before[kind])
		}
	}
	if dirs := socketDirs(t, core); len(dirs) != len(plagues) {
		t.Errorf("directories of sockets: %v", dirs)
	}
	judge(t, l, d, r)
}

// socketDirs returns the directories with sockets of a core's plugins, one for each process.
func socketDirs(t *testing.T, core int) []string {
	t.Helper()
	fds, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", core))
	must(t, err)
	for _, fd := range fds {
		if to, err := os.Readlink(fd); err == nil && filepath.Base(to) == "lock" && strings.Contains(to, "roost-plugins-") {
			dirs, err := filepath.Glob(filepath.Join(filepath.Dir(to), "p*"))
			must(t, err)
			return dirs
		}
	}
	t.Fatalf("core has no directory for sockets")
	return nil
}

// TestKilledCoreEndsItsPlugins: core is killed, the keeper starts another; the plugins of the dead one are gone within two seconds.
func TestKilledCoreEndsItsPlugins(t *testing.T) {
	c := startCrowd(t, len(crowdStates))
	c.held()
	core := c.r.CorePIDs()[0]
	var plugins []unix.PollFd
	tree := rig.Tree(core)[1:]
	if len(tree) != 2 {
		t.Fatalf("core has the children %v, want two plugins", tree)
	}
	for _, pid := range tree {
		fd, err := unix.PidfdOpen(pid, 0)
		must(t, err)
		defer unix.Close(fd)
		plugins = append(plugins, unix.PollFd{Fd: int32(fd), Events: unix.POLLIN})
	}
	must(t, syscall.Kill(core, syscall.SIGKILL))
	end := time.Now().Add(2 * time.Second)
	for i := range plugins {
		n, err := unix.Poll(plugins[i:i+1], int(max(time.Until(end).Milliseconds(), 0)))
		for err == unix.EINTR {
			n, err = unix.Poll(plugins[i:i+1], int(max(time.Until(end).Milliseconds(), 0)))
		}
		if must(t, err); n == 0 {
			t.Errorf("process %d outlives core by two seconds", tree[i])
		}
	}
	waitFor(t, "another core", func() bool { cores := c.r.CorePIDs(); return len(cores) == 1 && cores[0] != core })
	c.check("the death of core")
}
