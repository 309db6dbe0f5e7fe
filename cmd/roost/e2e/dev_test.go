package e2e

import (
	"bufio"
	"bytes"
	"fmt"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/roostmail/roost/cmd/internal/rig"
)

// TestDevPrintsCommandsThatWork starts "roost dev" in an empty directory and
// runs every curl command that it prints.
func TestDevPrintsCommandsThatWork(t *testing.T) {
	ports, err := rig.FreePorts(3)
	must(t, err)
	addr := make([]string, len(ports))
	for i, p := range ports {
		addr[i] = fmt.Sprintf("127.0.0.1:%d", p)
	}
	dir := tempDir(t)
	c := exec.Command(roostBinary, "dev", "--dir", dir+"/dev", "--imap", addr[0], "--imaps", addr[1], "--admin", addr[2])
	// Nothing but the binary: no Dovecot on the PATH.
	c.Env = []string{"PATH=/nonexistent", "HOME=" + dir}
	out, err := c.StdoutPipe()
	must(t, err)
	var log syncBuffer
	c.Stderr = &log
	must(t, c.Start())
	exited := make(chan struct{})
	defer func() {
		c.Process.Signal(syscall.SIGTERM)
		<-exited
	}()
	lines := make(chan string, 1000)
	go func() {
		sc := bufio.NewScanner(out)
		for sc.Scan() {
			lines <- sc.Text()
		}
		close(lines)
		c.Wait()
		close(exited)
	}()
	waitFor(t, "msg=ready", func() bool { return strings.Contains(log.String(), "msg=ready") })
	var curls []string
	for len(curls) < 2 {
		select {
		case l, ok := <-lines:
			if !ok {
				t.Fatalf("dev printed only %q and ended:\n%s", curls, log.String())
			}
			if l = strings.TrimSpace(l); strings.HasPrefix(l, "curl ") {
				curls = append(curls, l)
			}
		case <-time.After(30 * time.Second):
			t.Fatalf("dev printed only %q:\n%s", curls, log.String())
		}
	}
	answers := make([]string, len(curls))
	for i, l := range curls {
		b, err := exec.Command("sh", "-c", l).CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s", l, err, b)
		}
		answers[i] = string(b)
	}
	all := strings.Join(answers, "\n")
	for _, want := range []string{"INBOX", "ENVELOPE (", "Welcome to roost"} {
		if !strings.Contains(all, want) {
			t.Errorf("the answers to %q have no %q:\n%s", curls, want, all)
		}
	}
}

// waitFor polls a condition that another process brings about.
func waitFor(t *testing.T, what string, cond func() bool) {
	t.Helper()
	end := time.Now().Add(30 * time.Second)
	for !cond() {
		if time.Now().After(end) {
			t.Fatalf("no %s within 30 s", what)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// TestBadConfig: file, line, nearest known key, exit code 1.
func TestBadConfig(t *testing.T) {
	dir := tempDir(t)
	writeFile(t, dir+"/roost.toml", "[imap]\nlisten = [\"127.0.0.1:0\"]\n[storage]\nplugin = \"mdbox\"\noptions.mail_location = \"mdbox:/x\"\n[auth]\nplugin = \"passwd-file\"\noptions.path = \"u\"\n[hibernation]\nplugn = \"adaptive\"\n")
	for _, args := range [][]string{{"config", "check", "--config", dir + "/roost.toml"}, {"serve", "--config", dir + "/roost.toml"}} {
		b, err := exec.Command(roostBinary, args...).CombinedOutput()
		var exit *exec.ExitError
		if !asExit(err, &exit) || exit.ExitCode() != 1 {
			t.Errorf("%v: %v, want exit code 1", args, err)
		}
		for _, want := range []string{"roost.toml:10", "plugn", "plugin"} {
			if !bytes.Contains(b, []byte(want)) {
				t.Errorf("%v: no %q in %s", args, want, b)
			}
		}
	}
}

// TestBadInput: BAD with a reason, never a dropped session; the 21st in a row ends it with BYE.
func TestBadInput(t *testing.T) {
	r := startRoost(t, rig.RoostOptions{Home: tempDir(t), Users: []string{storeUser}})
	bad := func(c *rig.Client, raw string) string {
		t.Helper()
		must(t, c.Send([]byte(raw)))
		b, err := c.ReadResponse()
		must(t, err)
		return string(b)
	}
	c, err := rig.Dial(r.Addr)
	must(t, err)
	defer c.Close()
	for _, raw := range []string{"\r\n", "a\r\n", "a b c\r\n", "* NOOP\r\n", "a1 LOGIN\r\n", "a1 LOGIN x {99999}\r\n", "a1 LOGIN \"x\r\n", "\x00\x01\xff\r\n", "a1 AUTHENTICATE NOSUCH\r\n"} {
		wantMatch(t, bad(c, raw), `^(\S+ (BAD|NO) .+)$`)
	}
	wantMatch(t, bad(c, "a "+strings.Repeat("x", 9000)+"\r\n"), `BAD .*`)
	cmd(t, c, "LOGIN %s pass", storeUser)
	for i := range 20 {
		wantMatch(t, bad(c, fmt.Sprintf("a%d FETCH ((\r\n", i)), ` BAD .+`)
	}
	must(t, c.Send([]byte("z NONSENSE\r\n")))
	seen := ""
	for {
		b, err := c.ReadResponse()
		if err != nil {
			break
		}
		seen += string(b) + "\n"
	}
	wantMatch(t, seen, `(?m)^\* BYE `)
	// Others are not touched.
	login(t, r.Addr, storeUser)
}
