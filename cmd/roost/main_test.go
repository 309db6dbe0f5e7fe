package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/roostmail/roost/cmd/internal/rig"
)

// binary is the roost that the tests drive from outside.
var binary string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "roost-test")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	binary = filepath.Join(dir, "roost")
	code := 1
	if out, err := exec.Command("go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "go build: %v\n%s", err, out)
	} else {
		code = m.Run()
	}
	os.RemoveAll(dir)
	os.Exit(code)
}

// roost runs a command to its end.
func roost(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	var out, errs bytes.Buffer
	cmd := exec.Command(binary, args...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			t.Fatal(err)
		}
		code = exit.ExitCode()
	}
	return out.String(), errs.String(), code
}

// running is a server that serves the sample store.
type running struct {
	t     *testing.T
	cmd   *exec.Cmd
	dir   string
	hints string // what "roost dev" printed

	mu  sync.Mutex
	log []string
	// grown is closed and replaced when log has a new line.
	grown chan struct{}
}

// deadline bounds what a test waits for outside of its process.
const deadline = 30 * time.Second

// start runs roost until the test ends. It returns its standard output.
func start(t *testing.T, dir string, args ...string) (*running, *bufio.Reader) {
	t.Helper()
	r := &running{t: t, dir: dir, grown: make(chan struct{}), cmd: exec.Command(binary, args...)}
	stdout, err := r.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	stderr, err := r.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go r.readLog(stderr) // ends with the process
	t.Cleanup(func() {
		r.cmd.Process.Signal(unix.SIGTERM) // it removes its control socket
		kill := time.AfterFunc(deadline, func() {
			t.Errorf("roost did not end within %v", deadline)
			r.cmd.Process.Kill()
		})
		r.cmd.Wait()
		kill.Stop()
		if t.Failed() {
			t.Logf("log:\n%s", strings.Join(r.lines(), "\n"))
		}
	})
	return r, bufio.NewReader(stdout)
}

// startDev runs "roost dev" on free ports until the test ends.
func startDev(t *testing.T) *running {
	t.Helper()
	dir := t.TempDir()
	r, out := start(t, dir, "dev", "--dir", dir, "--imap", "127.0.0.1:0", "--imaps", "127.0.0.1:0", "--admin", "127.0.0.1:0")
	for !strings.Contains(r.hints, "Ctrl-C") {
		line, err := out.ReadString('\n')
		if err != nil {
			t.Fatalf("roost dev ended early: %v", err)
		}
		r.hints += line
	}
	return r
}

func (r *running) readLog(stderr io.Reader) {
	s := bufio.NewScanner(stderr)
	for s.Scan() {
		r.mu.Lock()
		r.log = append(r.log, s.Text())
		close(r.grown)
		r.grown = make(chan struct{})
		r.mu.Unlock()
	}
}

func (r *running) lines() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]string(nil), r.log...)
}

// waitLog returns the first log line from line number from on that matches.
func (r *running) waitLog(from int, pattern string) string {
	r.t.Helper()
	re, timeout := regexp.MustCompile(pattern), time.After(deadline)
	for {
		r.mu.Lock()
		lines, grown := r.log, r.grown
		r.mu.Unlock()
		for _, line := range lines[min(from, len(lines)):] {
			if re.MatchString(line) {
				return line
			}
		}
		select {
		case <-grown:
		case <-timeout:
			r.t.Fatalf("no log line matches %s", pattern)
		}
	}
}

// address returns an address out of the hints.
func (r *running) address(label string) string {
	r.t.Helper()
	m := regexp.MustCompile(regexp.QuoteMeta(label) + ` +(?:http://)?([0-9.:]+)`).FindStringSubmatch(r.hints)
	if m == nil {
		r.t.Fatalf("no %q in the hints:\n%s", label, r.hints)
	}
	return m[1]
}

// child returns the pid of the plugin's process.
func (r *running) child(plugin string) int {
	r.t.Helper()
	for _, pid := range children(r.t, r.cmd.Process.Pid) {
		cmdline, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		if err == nil && strings.Contains(string(cmdline), "\x00"+plugin+"\x00") {
			return pid
		}
	}
	r.t.Fatalf("no process of plugin %s", plugin)
	return 0
}

func children(t *testing.T, pid int) []int {
	t.Helper()
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	if err != nil {
		t.Fatal(err)
	}
	var list []int
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			continue // a thread that has ended
		}
		for _, word := range strings.Fields(string(b)) {
			n, err := strconv.Atoi(word)
			if err != nil {
				t.Fatal(err)
			}
			list = append(list, n)
		}
	}
	return list
}

// login connects and logs in. A client at the same address needs no TLS.
func (r *running) login() *rig.Client {
	r.t.Helper()
	c, err := rig.Dial(r.address("IMAP with STARTTLS"))
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(c.Close)
	ok(r.t, c, "LOGIN demo demo")
	return c
}

// ok runs a command and returns its untagged answers as text. Anything but OK fails the test.
func ok(t *testing.T, c *rig.Client, command string) string {
	t.Helper()
	untagged, err := c.Cmd("%s", command)
	if err != nil {
		t.Fatal(err)
	}
	return string(bytes.Join(untagged, nil))
}

// gone waits until a process does not exist any more.
func gone(t *testing.T, pid int) {
	t.Helper()
	fd, err := unix.PidfdOpen(pid, 0)
	if errors.Is(err, unix.ESRCH) {
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	poll, end := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, time.Now().Add(deadline)
	n, err := unix.Poll(poll, int(deadline.Milliseconds()))
	for err == unix.EINTR {
		n, err = unix.Poll(poll, int(max(time.Until(end).Milliseconds(), 0)))
	}
	if err != nil || n != 1 {
		t.Fatalf("process %d is still there (%d, %v)", pid, n, err)
	}
}
