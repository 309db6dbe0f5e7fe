package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/roostmail/roost/mdbox"
	"github.com/roostmail/roost/mdbox/mdboxtest"
)

// damageLog overwrites a part of a mailbox's log.
func damageLog(t *testing.T, s *mdboxtest.Store) string {
	t.Helper()
	path := filepath.Join(s.Mailbox("INBOX"), "dovecot.index.log")
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	copy(b[40:], "damaged!")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestVerifyAndRebuild(t *testing.T) {
	s := mdboxtest.Golden(t, "dovecot-2.3/small")
	at := "mdbox:" + s.Root
	if out, stderr, code := roost(t, "mail", "verify", "--location", at); code != 0 || !strings.Contains(out, "no damage") {
		t.Errorf("verify of a store in order: %d %q %q", code, out, stderr)
	}
	if out, stderr, code := roost(t, "mail", "rebuild", "--location", at); code != 0 || out != "no damage: nothing was changed\n" {
		t.Errorf("rebuild of a store in order: %d %q %q", code, out, stderr)
	}
	log := damageLog(t, s)
	if out, stderr, code := roost(t, "mail", "verify", "--location", at); code != 1 || stderr != "" ||
		!strings.Contains(out, "damage: "+log+": offset 40: ") || !strings.Contains(out, "(mailbox INBOX)") {
		t.Errorf("verify of a damaged store: %d %q %q", code, out, stderr)
	}
	var report struct {
		Findings []struct {
			Kind, File, Mailbox string
			Offset              int64
		}
	}
	out, _, code := roost(t, "mail", "verify", "--json", "--location", at)
	if err := json.Unmarshal([]byte(out), &report); err != nil || code != 1 || len(report.Findings) == 0 || report.Findings[0].Kind != "damage" ||
		report.Findings[0].File != log || report.Findings[0].Offset != 40 {
		t.Errorf("verify --json: %d %v %q", code, err, out)
	}
	if out, stderr, code := roost(t, "mail", "rebuild", "--location", at); code != 0 || !strings.Contains(out, "repaired: "+log) {
		t.Errorf("rebuild: %d %q %q", code, out, stderr)
	}
	if out, _, code := roost(t, "mail", "verify", "--location", at); code != 0 {
		t.Errorf("verify after the rebuild: %d %q", code, out)
	}
	if out, stderr, code := roost(t, "mail", "purge", "--location", at); code != 0 || !strings.Contains(out, "files were removed") {
		t.Errorf("purge: %d %q %q", code, out, stderr)
	}
}

// TestVerifyFindsTheStoreOfAUser: settings and the user's fields lead to the store.
func TestVerifyFindsTheStoreOfAUser(t *testing.T) {
	s := mdboxtest.Golden(t, "dovecot-2.3/tiny")
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	write("users", "jane:{PLAIN}x::::"+s.Home+"::\n")
	file := write("roost.toml", "[imap]\nlisten = [\"127.0.0.1:1143\"]\n[auth]\nplugin = \"passwd-file\"\noptions.path = \"users\"\n"+
		"[storage]\nplugin = \"mdbox\"\noptions.mail_location = \"mdbox:%h/mdbox\"\n")
	if out, stderr, code := roost(t, "mail", "verify", "--config", file, "--user", "jane"); code != 0 || !strings.Contains(out, "no damage") {
		t.Errorf("%d %q %q", code, out, stderr)
	}
	damageLog(t, s)
	if out, stderr, code := roost(t, "mail", "verify", "--config", file, "--user", "jane"); code != 1 {
		t.Errorf("damaged: %d %q %q", code, out, stderr)
	}
}

// TestVerifyThatCanNotRun has an exit code of its own, so that no script takes it for damage, or for a store in order.
func TestVerifyThatCanNotRun(t *testing.T) {
	for _, args := range [][]string{{}, {"--nonsense"}, {"more"}, {"--location", "mbox:/tmp"}, {"--location", "mdbox:/nonexistent"}, {"--location", "mdbox:/tmp/x", "--option", "nonsense=1"},
		{"--config", "/nonexistent.toml", "--user", "jane"}, {"--location", "mdbox:/tmp/x", "--config", "x"}} {
		for _, command := range []string{"verify", "rebuild", "purge"} {
			if _, stderr, code := roost(t, append([]string{"mail", command}, args...)...); code != 2 || !strings.HasPrefix(stderr, "roost: ") {
				t.Errorf("%s %v: %d %q", command, args, code, stderr)
			}
		}
	}
}

// TestMailOfSdbox: a store of another format is verified, and left to Dovecot for repairs.
func TestMailOfSdbox(t *testing.T) {
	dir := t.TempDir()
	l := mdbox.Location{Format: mdbox.FormatSdbox, Root: dir, Index: dir, Control: dir, VolatileDir: dir, Layout: mdbox.LayoutFS,
		DirName: "dbox-Mails", MailboxDir: "mailboxes", Subscriptions: "subscriptions", ListIndex: "dovecot.list.index"}
	s := mdbox.New(l, mdbox.Options{Write: &mdbox.Writing{}})
	defer s.Close()
	b, err := s.OpenMailbox("INBOX")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Append(t.Context(), []mdbox.NewMessage{{Received: 1_700_000_000, Body: strings.NewReader("Subject: x\r\n\r\nx\r\n")}}); err != nil {
		t.Fatal(err)
	}
	at := "sdbox:" + dir
	if out, stderr, code := roost(t, "mail", "verify", "--location", at); code != 0 || !strings.Contains(out, "1 messages in 1 mail files") || !strings.Contains(out, "no damage") {
		t.Errorf("verify: %d\n%s%s", code, out, stderr)
	}
	if err := os.Remove(filepath.Join(b.Dir(), "u.1")); err != nil {
		t.Fatal(err)
	}
	if out, stderr, code := roost(t, "mail", "verify", "--location", at); code != 1 || !strings.Contains(out, "UID 1") {
		t.Errorf("verify without the file of a message: %d\n%s%s", code, out, stderr)
	}
	if out, stderr, code := roost(t, "mail", "rebuild", "--location", at); code == 0 || !strings.Contains(stderr, "force-resync") {
		t.Errorf("rebuild: %d\n%s%s", code, out, stderr)
	}
}
