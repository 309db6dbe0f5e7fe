package e2e

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/roostmail/roost/cmd/internal/rig"
)

// pair is roost and Dovecot, each on its copy of one store.
type pair struct {
	roost   *rig.Roost
	dovecot *rig.Dovecot
	cert    string // what roost presents
	dcert   string
	want    expectation
}

func startPair(t *testing.T) pair {
	dir, want := makeStore(t, variants[0])
	roostDir := filepath.Join(tempDir(t), "s")
	must(t, rig.CopyTree(dir, roostDir))
	d := startDovecot(t, rig.DovecotOptions{Home: filepath.Join(dir, "home")})
	r := startRoost(t, rig.RoostOptions{Home: filepath.Join(roostDir, "home"), Users: []string{storeUser}})
	return pair{r, d, filepath.Join(filepath.Dir(r.Config), "cert.pem"), filepath.Join(filepath.Dir(d.Conf), "cert.pem"), want}
}

// tool runs a client program and fails the test with its output if it fails or hangs.
func tool(t *testing.T, dir string, name string, args ...string) []byte {
	t.Helper()
	c := exec.Command(name, args...)
	c.Dir = dir
	c.Env = append(os.Environ(), "HOME="+dir, "TERM=xterm", "LC_ALL=C.UTF-8")
	var out bytes.Buffer
	c.Stdout, c.Stderr = &out, &out
	must(t, c.Start())
	timer := time.AfterFunc(2*time.Minute, func() { c.Process.Kill() })
	defer timer.Stop()
	if err := c.Wait(); err != nil {
		t.Fatalf("%s %v: %v\n%s", name, args, err, clip(out.String()))
	}
	return out.Bytes()
}

// TestClientMbsyncMakesTheSameMaildir pulls the whole store from both servers over TLS.
func TestClientMbsyncMakesTheSameMaildir(t *testing.T) {
	p := startPair(t)
	got := mbsync(t, p.roost.TLSAddr, p.cert)
	want := mbsync(t, p.dovecot.TLSAddr, p.dcert)
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("Maildir from roost:\n%s\nfrom Dovecot:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	total := 0
	for _, m := range p.want.Mailboxes {
		total += len(m.Mails)
	}
	// mbsync passes over one message, whose header has no end.
	if len(got) != total-1 {
		t.Errorf("mbsync made %d messages, the store has %d", len(got), total)
	}
}

// tuid is a header field of random content that mbsync adds to what it stores.
var tuid = regexp.MustCompile(`(?m)^X-TUID: .*\n`)

// mbsync returns a line for each message of the Maildir that it makes: mailbox, flags, time, hash.
func mbsync(t *testing.T, addr, cert string) []string {
	t.Helper()
	dir := tempDir(t)
	_, port, _ := strings.Cut(addr, ":")
	rc := fmt.Sprintf("IMAPAccount a\nHost localhost\nPort %s\nUser %s\nPass pass\nSSLType IMAPS\nSystemCertificates no\nCertificateFile %s\n\n"+
		"IMAPStore far\nAccount a\n\nMaildirStore near\nPath %s/mail/\nInbox %s/mail/INBOX\nSubFolders Verbatim\n\n"+
		"Channel c\nFar :far:\nNear :near:\nPatterns *\nSync Pull\nCreate Near\nExpunge None\nCopyArrivalDate yes\nSyncState *\n",
		port, storeUser, cert, dir, dir)
	must(t, os.WriteFile(filepath.Join(dir, "mbsyncrc"), []byte(rc), 0o600))
	must(t, os.Mkdir(filepath.Join(dir, "mail"), 0o700))
	tool(t, dir, "mbsync", "-c", filepath.Join(dir, "mbsyncrc"), "c")
	var lines []string
	err := filepath.WalkDir(filepath.Join(dir, "mail"), func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		sub := filepath.Base(filepath.Dir(path))
		if sub != "cur" && sub != "new" {
			return nil
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		b = tuid.ReplaceAll(b, nil)
		info, err := e.Info()
		if err != nil {
			return err
		}
		_, flags, _ := strings.Cut(e.Name(), ":2,")
		box, _ := filepath.Rel(dir, filepath.Dir(filepath.Dir(path)))
		lines = append(lines, fmt.Sprintf("%s %s flags=%q %d %x", box, sub, flags, info.ModTime().Unix(), sha256.Sum256(b)))
		return nil
	})
	must(t, err)
	sort.Strings(lines)
	return lines
}

// TestClientCurlFetchesEverything lists and fetches the store with curl over TLS.
func TestClientCurlFetchesEverything(t *testing.T) {
	p := startPair(t)
	dir := tempDir(t)
	curl := func(path string, args ...string) []byte {
		return tool(t, dir, "curl", append([]string{"-sS", "--cacert", p.cert, "--user", storeUser + ":pass", "imaps://" + p.roost.TLSAddr + "/" + path}, args...)...)
	}
	list := string(curl(""))
	for name, m := range p.want.Mailboxes {
		if !strings.Contains(list, m.MUTF7) {
			t.Errorf("curl's listing has no %s:\n%s", name, list)
		}
	}
	n := 0
	for _, m := range p.want.Mailboxes["INBOX"].Mails {
		body := curl(fmt.Sprintf("INBOX;UID=%d", m.UID))
		if sum := fmt.Sprintf("%x", sha256.Sum256(body)); sum != m.SHA256 {
			t.Errorf("UID %d: curl got a body with SHA-256 %s, want %s", m.UID, sum, m.SHA256)
		}
		n++
	}
	if n < 10 {
		t.Errorf("only %d messages in INBOX", n)
	}
}

// TestClientMuttCopiesTheInbox tags and copies all messages with mutt, in a terminal of its own.
func TestClientMuttCopiesTheInbox(t *testing.T) {
	p := startPair(t)
	got := mutt(t, p.roost.TLSAddr, p.cert)
	want := mutt(t, p.dovecot.TLSAddr, p.dcert)
	if !bytes.Equal(got, want) {
		t.Errorf("mutt's mbox from roost has %d bytes, from Dovecot %d, or they differ", len(got), len(want))
	}
	if n := bytes.Count(got, []byte("\nFrom ")) + 1; n != len(p.want.Mailboxes["INBOX"].Mails) {
		t.Errorf("mutt copied %d messages, INBOX has %d", n, len(p.want.Mailboxes["INBOX"].Mails))
	}
}

func mutt(t *testing.T, addr, cert string) []byte {
	t.Helper()
	dir := tempDir(t)
	rc := fmt.Sprintf("set ssl_ca_certificates_file=%s\nset ssl_starttls=no ssl_force_tls=yes ssl_verify_host=no ssl_usesystemcerts=no\n"+
		"set imap_user=%s imap_pass=pass\nset header_cache=\"\" message_cachedir=\"\"\nset confirmappend=no confirmcreate=no mbox_type=mbox\n"+
		"set quit=yes wait_key=no copy=no delete=no move=no\nset imap_peek=yes\nset sort=mailbox-order folder=%s spoolfile=/dev/null\n", cert, storeUser, dir)
	must(t, os.WriteFile(filepath.Join(dir, "muttrc"), []byte(rc), 0o600))
	line := fmt.Sprintf("mutt -n -F %s/muttrc -f imaps://%s/INBOX -e 'push <tag-pattern>~A<enter><tag-prefix><copy-message><kill-line>%s/out<enter><exit>'", dir, addr, dir)
	out := tool(t, dir, "script", "-qec", line, "/dev/null")
	b, err := os.ReadFile(filepath.Join(dir, "out"))
	if err != nil {
		t.Fatalf("mutt copied nothing: %v\n%q", err, clip(string(out)))
	}
	return b
}

const imaplibProgram = `
import hashlib, imaplib, json, re, ssl, sys
host, port, user, cert, starttls = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4], sys.argv[5] == "starttls"
imaplib._MAXLINE = 100_000_000
ctx = ssl.create_default_context(cafile=cert)
ctx.minimum_version = ctx.maximum_version = getattr(ssl.TLSVersion, sys.argv[6])
if starttls:
    c = imaplib.IMAP4(host, port)
    c.starttls(ctx)
else:
    c = imaplib.IMAP4_SSL(host, port, ssl_context=ctx)
c.login(user, "pass")
out = {}
typ, lines = c.list()
assert typ == "OK", lines
for l in lines:
    attrs, name = re.match(rb'\((.*?)\) "/" (.*)', l).groups()
    if b"\\Noselect" in attrs or b"\\NonExistent" in attrs:
        continue
    name = name.decode()
    typ, n = c.select(name, readonly=True)
    assert typ == "OK", (name, n)
    typ, data = c.uid("FETCH", "1:*", "(BODY.PEEK[])")
    assert typ == "OK", data
    if name.startswith('"'):
        name = name[1:-1].replace('\\"', '"').replace('\\\\', '\\')
    out[name] = {re.search(rb"UID (\d+)", p[0]).group(1).decode(): hashlib.sha256(p[1]).hexdigest() for p in data if isinstance(p, tuple)}
c.logout()
json.dump(out, sys.stdout)
`

// TestClientImaplibReadsEverything reads every body with Python's imaplib: implicit TLS and STARTTLS, TLS 1.2 and 1.3.
func TestClientImaplibReadsEverything(t *testing.T) {
	p := startPair(t)
	dir := tempDir(t)
	must(t, os.WriteFile(filepath.Join(dir, "read.py"), []byte(imaplibProgram), 0o644))
	for _, mode := range []string{"implicit", "starttls"} {
		for _, version := range []string{"TLSv1_2", "TLSv1_3"} {
			t.Run(mode+" "+version, func(t *testing.T) {
				addr := p.roost.TLSAddr
				if mode == "starttls" {
					addr = p.roost.Addr
				}
				_, port, _ := strings.Cut(addr, ":")
				out := tool(t, dir, "python3", "read.py", "localhost", port, storeUser, p.cert, mode, version)
				var got map[string]map[string]string
				must(t, json.Unmarshal(out, &got))
				n := 0
				for name, m := range p.want.Mailboxes {
					for _, mail := range m.Mails {
						n++
						if g := got[m.MUTF7][fmt.Sprint(mail.UID)]; g != mail.SHA256 {
							t.Errorf("%s UID %d: SHA-256 %q, want %s", name, mail.UID, g, mail.SHA256)
						}
					}
				}
				if n < 50 {
					t.Errorf("only %d messages", n)
				}
			})
		}
	}
}
