package e2e

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/roostmail/roost/cmd/internal/rig"
)

// TestCommandIsFollowedThroughTheLog: what core and the plugins say of one command has the same request, and another command has another.
func TestCommandIsFollowedThroughTheLog(t *testing.T) {
	r, dir := startAuth(t, "jane:{PLAIN}geheim-jane:%i::%h/jane\nbob:{SHA512-CRYPT}no-hash:%i::%h/bob\n", "[auth]\nfailure_delay = \"0s\"\n[log]\nlevel = \"debug\"\n")
	requests := func(text string) (found []string) {
		for line := range strings.Lines(r.Log()) {
			if strings.Contains(line, text) {
				m := regexp.MustCompile(` request=([0-9a-f]{16})\b`).FindStringSubmatch(line)
				if m == nil {
					t.Fatalf("no request in %s", line)
				}
				found = append(found, m[1])
			}
		}
		return found
	}
	follow := func(texts ...string) (request string) {
		t.Helper()
		for _, text := range texts {
			waitFor(t, text, func() bool { return len(requests(text)) > 0 })
			if got := requests(text); len(got) != 1 || request != "" && got[0] != request {
				t.Fatalf("%s: requests %v, before %s\n%s", text, got, request, r.Log())
			}
			request = requests(text)[0]
		}
		return request
	}

	c, err := rig.Dial(r.Addr)
	must(t, err)
	defer c.Close()
	if _, err := c.Cmd("LOGIN bob geheim-bob"); err == nil {
		t.Fatal("bob is in")
	}
	refused := follow("stored password can not be checked", "login refused")
	cmd(t, c, "LOGIN jane geheim-jane")
	login := follow("msg=login ")
	cmd(t, c, "CREATE a")
	must(t, os.Mkdir(filepath.Join(dir, "home/jane/mdbox/mailboxes/bad&name"), 0o700)) // left out: no mailbox has this storage name
	cmd(t, c, `LIST "" *`)
	list := follow("left out of the list of mailboxes", "command=LIST")
	if refused == login || login == list {
		t.Errorf("requests %s, %s, %s", refused, login, list)
	}
	if want := "user=jane"; !strings.Contains(r.Log(), want) {
		t.Errorf("no %s in the log", want)
	}
}
