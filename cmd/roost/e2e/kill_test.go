package e2e

import (
	"bytes"
	"fmt"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/roostmail/roost/cmd/internal/rig"
)

// TestKilledStorageDuringFetch kills the storage plugin in the middle of
// a large FETCH: the session survives, and the FETCH, or else its repetition, is complete.
func TestKilledStorageDuringFetch(t *testing.T) {
	const messages, size = 400, 64 << 10
	d := startDovecot(t, rig.DovecotOptions{})
	w := login(t, d.Addr, storeUser)
	cmd(t, w, "CREATE Large")
	body := bytes.Repeat([]byte("0123456789012345678901234567890123456789012345678901234567890\r\n"), size/63)
	for i := range messages {
		m := fmt.Sprintf("Subject: %d\r\n\r\n%s", i, body)
		cmd(t, w, "APPEND Large {%d+}\r\n%s", len(m), m)
	}
	r := startRoost(t, rig.RoostOptions{Home: filepath.Join(filepath.Dir(d.Conf), "mail", "%u"), Users: []string{storeUser}})
	c := login(t, r.Addr, storeUser)
	cmd(t, c, "SELECT Large")
	pid, err := r.PluginPID("storage/mdbox")
	must(t, err)
	tag, err := c.Start("FETCH 1:* (UID BODY.PEEK[])")
	must(t, err)
	// The first answers have come, and more than the sockets hold is still to come.
	for range 3 {
		_, err := c.ReadResponse()
		must(t, err)
	}
	must(t, syscall.Kill(pid, syscall.SIGKILL))
	u, final, err := c.Until(tag)
	if err != nil {
		t.Fatalf("the session did not survive: %v", err)
	}
	if bytes.HasPrefix(final, []byte("OK")) && len(u) != messages-3 {
		t.Errorf("FETCH was answered OK, with %d of %d messages", len(u)+3, messages)
	}
	again := cmd(t, c, "FETCH 1:* (UID BODY.PEEK[])")
	f, err := rig.FetchAnswers(again)
	must(t, err)
	if len(f) != messages {
		t.Fatalf("the repeated FETCH has %d of %d messages", len(f), messages)
	}
	for seq, items := range f {
		if want := fmt.Sprintf("Subject: %d\r\n\r\n%s", seq-1, body); items["BODY[]"].Str != want {
			t.Fatalf("message %d differs after the restart", seq)
		}
	}
	if now, err := r.PluginPID("storage/mdbox"); err != nil || now == pid {
		t.Errorf("no new plugin process: pid %d, before %d, %v", now, pid, err)
	}
}

// TestKilledAuth: the next login succeeds.
func TestKilledAuth(t *testing.T) {
	r := startRoost(t, rig.RoostOptions{Home: tempDir(t), Users: []string{storeUser}})
	login(t, r.Addr, storeUser)
	pid, err := r.PluginPID("auth/passwd-file")
	must(t, err)
	must(t, syscall.Kill(pid, syscall.SIGKILL))
	login(t, r.Addr, storeUser)
}

// TestKilledCoreLeavesNoPlugin kills core with SIGKILL.
func TestKilledCoreLeavesNoPlugin(t *testing.T) {
	r, err := rig.StartRoost(rig.RoostOptions{Binary: roostBinary, Dir: tempDir(t), Home: tempDir(t), Users: []string{storeUser}})
	must(t, err)
	tree := rig.Tree(r.PID())
	if len(tree) < 3 {
		r.Kill()
		t.Fatalf("core has %d children, want its two plugins", len(tree)-1)
	}
	// A pidfd is readable once its process has ended, and is never another process's.
	var children []unix.PollFd
	for _, pid := range tree[1:] {
		fd, err := unix.PidfdOpen(pid, 0)
		must(t, err)
		defer unix.Close(fd)
		children = append(children, unix.PollFd{Fd: int32(fd), Events: unix.POLLIN})
	}
	r.Kill()
	for i := range children {
		n, err := unix.Poll(children[i:i+1], 10_000)
		for err == unix.EINTR {
			n, err = unix.Poll(children[i:i+1], 10_000)
		}
		must(t, err)
		if n == 0 {
			t.Errorf("process %d outlives core", tree[1+i])
			unix.PidfdSendSignal(int(children[i].Fd), unix.SIGKILL, nil, 0)
		}
	}
}

// TestKilledStorageAgainAndAgain: a plugin that is killed whenever it is back is not
// taken for one that can not run; each command in between succeeds, on the same session.
func TestKilledStorageAgainAndAgain(t *testing.T) {
	l := startLive(t, 3)
	cmd(t, l.dovecot, "CREATE Other")
	for i := range 12 {
		pid := 0
		waitFor(t, "storage plugin", func() bool {
			p, err := l.r.PluginPID("storage/mdbox")
			pid = p
			return err == nil
		})
		must(t, syscall.Kill(pid, syscall.SIGKILL))
		f, err := rig.FetchAnswers(cmd(t, l.roost, "FETCH 1:* (UID BODY.PEEK[])"))
		must(t, err)
		if len(f) != 3 {
			t.Fatalf("kill %d: %d messages", i, len(f))
		}
		appendMessage(t, l.dovecot, "Other", i)
		wantMatch(t, joined(cmd(t, l.roost, "STATUS Other (MESSAGES)")), fmt.Sprintf(`MESSAGES %d\)`, i+1))
	}
}
