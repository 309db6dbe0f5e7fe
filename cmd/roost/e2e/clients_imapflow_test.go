package e2e

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const imapFlowDir = "../../../testdata/clients/imapflow"

// flowSession is what session.js of testdata/clients/imapflow prints, but for what is only compared.
type flowSession struct {
	Mail map[string]map[uint32]struct {
		SHA256 string `json:"sha256"`
	} `json:"mail"`
	Enabled []string `json:"enabled"`
}

// TestClientImapFlow lets ImapFlow (Node.js) read the whole store, change mail, and watch its own changes in IDLE on a second connection, with
// QRESYNC: it sees the same on roost and on Dovecot.
func TestClientImapFlow(t *testing.T) {
	p := startPair(t)
	dir := tempDir(t)
	for _, name := range []string{"package.json", "package-lock.json", "session.js"} {
		b, err := os.ReadFile(filepath.Join(imapFlowDir, name))
		must(t, err)
		must(t, os.WriteFile(filepath.Join(dir, name), b, 0o644))
	}
	tool(t, dir, "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
	session := func(addr, cert string) (s flowSession, all map[string]any) {
		host, port, _ := strings.Cut(addr, ":")
		out := tool(t, dir, "node", "session.js", host, port, storeUser, cert)
		must(t, json.Unmarshal(out, &s))
		must(t, json.Unmarshal(out, &all))
		return s, all
	}
	got, gotAll := session(p.roost.TLSAddr, p.cert)
	_, wantAll := session(p.dovecot.TLSAddr, p.dcert)
	delete(gotAll, "compressed") // Dovecot has it with a plugin only
	delete(wantAll, "compressed")
	if d := cmp.Diff(wantAll, gotAll); d != "" {
		t.Errorf("ImapFlow on Dovecot (-) and on roost (+):\n%s", d)
	}
	n := 0
	for _, m := range p.want.Mailboxes {
		for _, mail := range m.Mails {
			n++
			if g := got.Mail[m.VName][mail.UID].SHA256; g != mail.SHA256 {
				t.Errorf("%s UID %d: SHA-256 %q, want %s", m.VName, mail.UID, g, mail.SHA256)
			}
		}
	}
	if n < 50 {
		t.Errorf("only %d messages", n)
	}
	if len(got.Enabled) == 0 {
		t.Error("QRESYNC was not enabled")
	}
}
