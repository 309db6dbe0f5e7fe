package main

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/roostmail/roost/cmd/internal/rig"
	"github.com/roostmail/roost/core/server/dev"
)

// TestServe runs "roost serve" with the log in JSON, with the plugins in processes and inside of core.
func TestServe(t *testing.T) {
	for _, isolation := range []string{"process", "inproc"} {
		t.Run(isolation, func(t *testing.T) {
			dir := t.TempDir()
			file, err := dev.Prepare(dir)
			if err != nil {
				t.Fatal(err)
			}
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			text := regexp.MustCompile(`127\.0\.0\.1:\d+`).ReplaceAllString(string(b), "127.0.0.1:0")
			text += "[hibernation]\nplugin = \"adaptive\"\noptions.warm = \"100ms\"\ninterval = \"100ms\"\n"
			text = regexp.MustCompile(`(?m)^plugin = .*$`).ReplaceAllString(text, "$0\nisolation = \""+isolation+"\"")
			if err := os.WriteFile(file, []byte(text+"[log]\nformat = \"json\"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			r, _ := start(t, dir, "serve", "--config", file)
			var ready struct {
				Msg, Admin  string
				IMAP, IMAPS []string
			}
			line := r.waitLog(0, `"msg":"ready"`)
			if err := json.Unmarshal([]byte(line), &ready); err != nil || len(ready.IMAP) != 1 || len(ready.IMAPS) != 1 || ready.Admin == "" {
				t.Fatalf("%v: %s", err, line)
			}
			core := children(t, r.cmd.Process.Pid)
			if len(core) != 1 {
				t.Fatalf("the keeper has %d children", len(core))
			}
			if n, want := len(children(t, core[0])), map[string]int{"process": 3, "inproc": 0}[isolation]; n != want {
				t.Errorf("%d child processes, want %d", n, want)
			}
			c, err := rig.DialTLS(ready.IMAPS[0])
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			ok(t, c, "LOGIN demo demo")
			if got := ok(t, c, "SELECT INBOX"); !strings.Contains(got, "* 5 EXISTS") {
				t.Errorf("SELECT: %q", got)
			}
			untilMetric(t, ready.Admin, "roost_mailboxes_open 0", "roost_hibernation_parked_total 1", "roost_hibernation_default 0")
			if got := ok(t, c, "FETCH 1 BODY.PEEK[HEADER.FIELDS (SUBJECT)]"); !strings.Contains(got, "Subject: Welcome to roost\r\n") {
				t.Errorf("FETCH: %q", got)
			}
		})
	}
}

// untilMetric asks for the metrics until they have all of these lines.
func untilMetric(t *testing.T, admin string, lines ...string) {
	t.Helper()
	for end := time.Now().Add(deadline); ; {
		resp, err := http.Get("http://" + admin + "/metrics")
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		missing := 0
		for _, line := range lines {
			if !strings.Contains(string(body), "\n"+line+"\n") {
				missing++
			}
		}
		if missing == 0 {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("not all of %q in\n%s", lines, body)
		}
	}
}
