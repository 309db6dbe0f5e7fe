package filelock_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/roostmail/roost/mdbox/filelock"
	"github.com/roostmail/roost/mdbox/mdboxtest"
	"github.com/roostmail/roost/mdbox/vfs"
)

// While we hold a lock, Dovecot waits for it, by each of its methods; when we have released it, Dovecot gets it.
func TestDovecotWaits(t *testing.T) {
	store := mdboxtest.MakeStore(t, "--content", "tiny")
	box := filepath.Join(store.Mailbox("INBOX"), "dovecot.index.log")
	tree := filepath.Join(store.Root, "mailboxes.lock")
	for _, m := range methods {
		t.Run(string(m), func(t *testing.T) {
			c := &filelock.Config{Method: m, DotlockExcl: true}
			l := mustLog(t, c, box)
			f, err := c.File(t.Context(), tree, 0, vfs.Perm{Mode: 0o666, GID: -1})
			if err != nil {
				t.Fatal(err)
			}
			// Another name each time: a Dovecot whose wait has ended may have made the mailbox's directory.
			// Both wait at the same time. They do not work at the same time: two Dovecots that change a user's mailboxes disturb each other now and then
			// ("Mailbox already exists" for the one that has just made it).
			outcomes := func(when string, together bool) map[string]string {
				commands := map[string][]string{
					"log of a mailbox": {"flags", "add", `\Flagged`, "mailbox", "INBOX", "1"},
					"tree":             {"mailbox", "create", "made-" + when + "-" + string(m)},
				}
				var mu sync.Mutex
				var wg sync.WaitGroup
				out := map[string]string{}
				for name, command := range commands {
					wg.Go(func() {
						got := doveadm(store, m, command)
						mu.Lock()
						defer mu.Unlock()
						out[name] = got
					})
					if !together {
						wg.Wait()
					}
				}
				wg.Wait()
				return out
			}
			for name, got := range outcomes("locked", true) {
				if !strings.Contains(got, "Timeout") && !strings.Contains(got, "Timed out") && !strings.Contains(got, "Resource temporarily unavailable") {
					t.Errorf("%s: Dovecot did not wait for us: %q", name, got)
				}
			}
			mustUnlock(t, l)
			release(t, f)
			for name, got := range outcomes("released", false) {
				if got != "" {
					t.Errorf("%s: when released: %s", name, got)
				}
			}
		})
	}
}

// doveadm returns what it complains about.
func doveadm(store *mdboxtest.Store, m filelock.Method, command []string) string {
	cmd := exec.Command("doveadm", append([]string{"-c", store.Conf, "-o", "lock_method=" + string(m), "-o", "mail_max_lock_timeout=1s"}, command...)...)
	cmd.Env = append(os.Environ(), "HOME="+store.Home, "USER="+store.Expected.User)
	out, err := cmd.CombinedOutput()
	if err != nil && len(out) == 0 {
		return err.Error()
	}
	return string(out)
}
