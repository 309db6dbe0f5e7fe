package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/roostmail/roost/cmd/internal/rig"
)

// TestDovecotServesWhatRoostWroteFromEmpty fills a store that only roost has written to, and lets Dovecot serve it: everything is the same,
// and of what clients have asked roost for, Dovecot parses nothing again. Its m.N files are hidden meanwhile.
func TestDovecotServesWhatRoostWroteFromEmpty(t *testing.T) {
	home := mailHome(t)
	r := startRoost(t, rig.RoostOptions{Home: home, Users: []string{storeUser}})
	c := login(t, r.Addr, storeUser)
	add := func(n int) {
		text := fmt.Sprintf("From: =?utf-8?q?S=C3=A9bastien?= <s%d@example.org>\r\nTo: a@example.org, \"B, C\" <b@example.org>\r\nCc: list: c@example.org;\r\n"+
			"Subject: number %d\r\nDate: Thu, 26 Nov 2026 10:%02d:00 +0100\r\nMessage-ID: <m%d@example.org>\r\nMIME-Version: 1.0\r\n"+
			"Content-Type: multipart/mixed; boundary=\"b%d\"\r\n\r\npreamble\r\n--b%d\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n%s\r\n"+
			"--b%d\r\nContent-Type: message/rfc822\r\n\r\nSubject: inner\r\n\r\ninner text\r\n--b%d--\r\n", n, n, n, n, n, n, strings.Repeat("text ", n), n, n)
		cmd(t, c, "APPEND INBOX (\\Seen $Label%d) \"26-Nov-2026 10:%02d:00 +0000\" {%d+}\r\n%s", n%3, n, len(text), text)
	}
	const asked, askedAtSave = "UID FLAGS INTERNALDATE RFC822.SIZE ENVELOPE BODYSTRUCTURE", "UID FLAGS INTERNALDATE RFC822.SIZE BODYSTRUCTURE"
	for n := range 30 {
		add(n)
	}
	cmd(t, c, "SELECT INBOX")
	fetch := func(c *rig.Client, set, items string) map[uint32]map[string]rig.Value {
		answers, err := rig.FetchAnswers(cmd(t, c, "UID FETCH %s (%s)", set, items))
		must(t, err)
		for _, items := range answers {
			f := items["FLAGS"]
			f.List = slices.DeleteFunc(f.List, func(v rig.Value) bool { return v.Str == `\Recent` }) // roost's session was the first
			items["FLAGS"] = f
		}
		return answers
	}
	want := fetch(c, "1:30", asked)
	for n := range 10 {
		add(30 + n)
	}
	later, texts := fetch(c, "31:40", askedAtSave), fetch(c, "1:40", "BODY.PEEK[]")
	c.Close()

	d := startDovecot(t, rig.DovecotOptions{Home: home})
	storage := filepath.Join(strings.ReplaceAll(home, "%u", storeUser), "mdbox", "storage")
	hide(t, storage, "m.", "hidden.")
	dc := login(t, d.Addr, storeUser)
	cmd(t, dc, "EXAMINE INBOX")
	if d := cmp.Diff(want, fetch(dc, "1:30", asked)); len(want) != 30 || d != "" {
		t.Errorf("without the texts, Dovecot answers (-roost +Dovecot):\n%s", d)
	}
	if d := cmp.Diff(later, fetch(dc, "31:40", askedAtSave)); len(later) != 10 || d != "" {
		t.Errorf("without the texts, Dovecot answers of what was saved later (-roost +Dovecot):\n%s", d)
	}
	hide(t, storage, "hidden.", "m.")
	if d := cmp.Diff(texts, fetch(dc, "1:40", "BODY.PEEK[]")); len(texts) != 40 || d != "" {
		t.Errorf("Dovecot has other texts (-roost +Dovecot):\n%s", d)
	}
	quiet(t, d)
}

// hide renames the files in dir that begin with from.
func hide(t *testing.T, dir, from, to string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, from+"*"))
	must(t, err)
	if len(files) == 0 {
		t.Fatalf("no %s* in %s", from, dir)
	}
	for _, f := range files {
		must(t, os.Rename(f, filepath.Join(dir, to+strings.TrimPrefix(filepath.Base(f), from))))
	}
}
