package main

import (
	"bufio"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestTermEndsTheStart: a plugin that does not come up keeps nobody from ending the server.
func TestTermEndsTheStart(t *testing.T) {
	dir := t.TempDir()
	script := filepath.Join(dir, "plugin.sh")
	marker := filepath.Join(dir, "marker")
	if err := syscall.Mkfifo(marker, 0o600); err != nil {
		t.Fatal(err)
	}
	// Says that it runs, then says nothing more.
	if err := os.WriteFile(script, []byte("#!/bin/sh\necho running > "+marker+"\nexec sleep 1000\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "roost.toml")
	config := `[imap]
listen = ["127.0.0.1:0"]
[auth]
plugin = "silent"
[storage]
plugin = "mdbox"
[plugins.silent]
kind = "auth"
command = ["plugin.sh"]
start_timeout = "10m"
`
	config = strings.Replace(config, `"plugin.sh"`, `"`+script+`"`, 1)
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	says, err := os.OpenFile(marker, os.O_RDWR, 0) // does not wait for the plugin to open it
	if err != nil {
		t.Fatal(err)
	}
	defer says.Close() // ends the goroutine that reads it
	r, out := start(t, dir, "serve", "--config", file)
	runs, ended := make(chan struct{}), make(chan struct{})
	go func() {
		if line, _ := bufio.NewReader(says).ReadString('\n'); line == "running\n" {
			close(runs)
		}
	}()
	go func() { // ends with the server
		_, _ = io.Copy(io.Discard, out)
		close(ended)
	}()
	select {
	case <-runs:
	case <-ended:
		t.Fatal("the server ended before the plugin ran")
	}
	plugins := children(t, r.cmd.Process.Pid)
	if err := r.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := r.cmd.Wait(); err == nil {
		t.Error("exit code 0 without having served")
	}
	for _, pid := range plugins {
		gone(t, pid)
	}
}
