package main

import (
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

// TestDevHintsWork types what "roost dev" prints.
func TestDevHintsWork(t *testing.T) {
	r := startDev(t)
	commands := regexp.MustCompile(`(?m)^  (curl .*)$`).FindAllStringSubmatch(r.hints, -1)
	want := []string{
		`\* LIST \(.*\) "/" Projects/K&APY-ln\r\n`,
		`(?s)\* 1 FETCH \(FLAGS \(\\Seen\) ENVELOPE .*\* 5 FETCH `,
		`(?s)^From: Alice .*This store was written by Dovecot`,
		`\* SEARCH 2\r\n`,
	}
	if len(commands) != len(want) {
		t.Fatalf("%d curl commands in:\n%s", len(commands), r.hints)
	}
	for i, c := range commands {
		out, err := exec.Command("sh", "-c", strings.Replace(c[1], "curl ", "curl -sS --max-time 30 ", 1)).CombinedOutput()
		if err != nil || !regexp.MustCompile(want[i]).Match(out) {
			t.Errorf("%s: %v\n%s\nwant %s", c[1], err, out, want[i])
		}
	}
	out, err := exec.Command("curl", "-sS", "--max-time", "30", "http://"+r.address("status page")+"/healthz").Output()
	if err != nil || string(out) != "ok\n" {
		t.Errorf("healthz: %q, %v", out, err)
	}
}

// TestSessionSurvivesThePlugin kills the storage plugin under a session, several times.
func TestSessionSurvivesThePlugin(t *testing.T) {
	r := startDev(t)
	c := r.login()
	ok(t, c, "SELECT INBOX")
	want := ok(t, c, "UID FETCH 1:* (FLAGS RFC822.SIZE BODY.PEEK[])")
	for range 3 {
		pid := r.child("storage/mdbox")
		from := len(r.lines())
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		if got := ok(t, c, "UID FETCH 1:* (FLAGS RFC822.SIZE BODY.PEEK[])"); got != want {
			t.Errorf("after the kill:\n%s\nwant\n%s", got, want)
		}
		r.waitLog(from, `msg="plugin started".*plugin=storage/mdbox`)
	}
	ok(t, c, "NOOP")
	ok(t, r.login(), "LIST \"\" *")
}

// TestTermDrains: SIGTERM says BYE to sessions, exits with 0 and leaves no process behind.
func TestTermDrains(t *testing.T) {
	r := startDev(t)
	c := r.login()
	plugins := []int{r.child("storage/mdbox"), r.child("auth/passwd-file")}
	if err := r.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if b, err := c.ReadResponse(); err != nil || !strings.HasPrefix(string(b), "* BYE ") {
		t.Errorf("got %q, %v", b, err)
	}
	if err := r.cmd.Wait(); err != nil {
		t.Errorf("exit: %v", err)
	}
	for _, pid := range plugins {
		gone(t, pid)
	}
}

// TestPluginsEndWithCore: children do not outlive core, however core dies.
func TestPluginsEndWithCore(t *testing.T) {
	r := startDev(t)
	plugins := []int{r.child("storage/mdbox"), r.child("auth/passwd-file")}
	if err := r.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	for _, pid := range plugins {
		gone(t, pid)
	}
}

// TestDevAnswersOperators: the operator's commands work without a keeper, but for the one that needs it.
func TestDevAnswersOperators(t *testing.T) {
	r := startDev(t)
	ok(t, r.login(), "NOOP")
	config := filepath.Join(r.dir, "roost.toml")
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"sessions"}, "demo"},
		{[]string{"plugin", "list"}, `storage/mdbox .*running`},
		{[]string{"plugin", "reload", "storage/mdbox"}, ""},
		{[]string{"plugin", "logs", "storage/mdbox"}, "plugin started"},
		{[]string{"reload", "--binary"}, "no keeper holds this server's sessions"},
	} {
		out, errs, code := roost(t, append(c.args, "--config", config)...)
		if !regexp.MustCompile(c.want).MatchString(out+errs) || (code != 0) != (c.args[0] == "reload") {
			t.Errorf("roost %s: exit code %d\n%s%s", c.args, code, out, errs)
		}
	}
	from := len(r.lines())
	if _, errs, code := roost(t, "reload", "--config", config); code != 0 {
		t.Errorf("reload: %s", errs)
	}
	r.waitLog(from, "msg=reloaded")
	if _, errs, code := roost(t, "drain", "--config", config); code != 0 {
		t.Errorf("drain: %s", errs)
	}
	if err := r.cmd.Wait(); err != nil {
		t.Errorf("exit: %v", err)
	}
}
