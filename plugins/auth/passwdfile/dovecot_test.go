package passwdfile

import (
	"bufio"
	"context"
	"encoding/base64"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/plugins/sdk/password/passwordtest"
)

// dovecotAuth is a private Dovecot's auth process, asked over its client and userdb sockets.
type dovecotAuth struct {
	t      *testing.T
	client *bufio.ReadWriter
	userdb *bufio.ReadWriter
	id     int
}

// startDovecotAuth runs Dovecot's auth process on a passwd-file until the test ends.
func startDovecotAuth(t *testing.T, users string) *dovecotAuth {
	t.Helper()
	// Not t.TempDir: the path of a socket has 107 bytes at the most, and must be open to Dovecot's users.
	dir, err := os.MkdirTemp("", "roost-auth")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	conf := filepath.Join(dir, "dovecot.conf")
	text := fmt.Sprintf(`base_dir = %[1]s/run
state_dir = %[1]s/state
log_path = /dev/stderr
protocols =
ssl = no
default_internal_user = nobody
default_internal_group = nogroup
default_login_user = nobody
auth_failure_delay = 0
auth_mechanisms = plain
passdb {
  driver = passwd-file
  args = %[2]s
}
userdb {
  driver = passwd-file
  args = %[2]s
}
service auth {
  user = root
  unix_listener auth-client {
    mode = 0600
  }
}
`, dir, users)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("dovecot", "-F", "-c", conf)
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	log := bufio.NewScanner(stderr)
	var seen []string
	for log.Scan() {
		seen = append(seen, log.Text())
		if strings.Contains(log.Text(), "starting up") { // its sockets are open by then
			break
		}
	}
	drained := make(chan struct{})
	go func() { // ends when Dovecot does
		defer close(drained)
		for log.Scan() {
			seen = append(seen, log.Text())
		}
	}()
	t.Cleanup(func() {
		if err := cmd.Process.Signal(os.Interrupt); err != nil {
			t.Error(err)
		}
		<-drained
		if err := cmd.Wait(); err != nil {
			t.Errorf("dovecot: %v", err)
		}
		if t.Failed() {
			t.Logf("dovecot's log:\n%s", strings.Join(seen, "\n"))
		}
	})
	d := &dovecotAuth{t: t}
	d.client = d.dial(filepath.Join(dir, "run", "auth-client"))
	d.send(d.client, "VERSION\t1\t2", fmt.Sprintf("CPID\t%d", os.Getpid()))
	for d.receive(d.client) != "DONE" {
	}
	d.userdb = d.dial(filepath.Join(dir, "run", "auth-userdb"))
	d.send(d.userdb, "VERSION\t1\t1")
	return d
}

func (d *dovecotAuth) dial(socket string) *bufio.ReadWriter {
	d.t.Helper()
	c, err := net.Dial("unix", socket)
	if err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		d.t.Fatal(err)
	}
	return bufio.NewReadWriter(bufio.NewReader(c), bufio.NewWriter(c))
}

func (d *dovecotAuth) send(rw *bufio.ReadWriter, lines ...string) {
	d.t.Helper()
	for _, line := range lines {
		fmt.Fprintf(rw, "%s\n", line)
	}
	if err := rw.Flush(); err != nil {
		d.t.Fatal(err)
	}
}

func (d *dovecotAuth) receive(rw *bufio.ReadWriter) string {
	d.t.Helper()
	line, err := rw.ReadString('\n')
	if err != nil {
		d.t.Fatal(err)
	}
	return strings.TrimSuffix(line, "\n")
}

// reply is the answer to a PLAIN login.
type reply struct {
	name        string // of the user afterwards
	ok, nologin bool
}

// logins tries every user with every password, all at once: Dovecot answers failures late.
func (d *dovecotAuth) logins(users, passwords []string) map[[2]string]reply {
	d.t.Helper()
	ids := map[string][2]string{}
	for _, user := range users {
		for _, password := range passwords {
			d.id++
			ids[strconv.Itoa(d.id)] = [2]string{user, password}
			d.send(d.client, fmt.Sprintf("AUTH\t%d\tPLAIN\tservice=imap\tsecured\tno-penalty\trip=127.0.0.1\tlip=127.0.0.1\tresp=%s",
				d.id, base64.StdEncoding.EncodeToString([]byte("\x00"+user+"\x00"+password))))
		}
	}
	replies := map[[2]string]reply{}
	for range ids {
		fields := strings.Split(d.receive(d.client), "\t")
		r := reply{ok: fields[0] == "OK", nologin: slices.Contains(fields, "nologin")}
		for _, f := range fields {
			if n, found := strings.CutPrefix(f, "user="); found {
				r.name = n
			}
		}
		replies[ids[fields[1]]] = r
	}
	return replies
}

// lookup returns the userdb fields of a user.
func (d *dovecotAuth) lookup(user string) (fields map[string]string, ok bool) {
	d.t.Helper()
	d.id++
	d.send(d.userdb, fmt.Sprintf("USER\t%d\t%s\tservice=imap", d.id, user))
	line := d.receive(d.userdb)
	for !strings.HasPrefix(line, "USER\t") && !strings.HasPrefix(line, "NOTFOUND") && !strings.HasPrefix(line, "FAIL") {
		line = d.receive(d.userdb) // VERSION, SPID
	}
	parts := strings.Split(line, "\t")
	if parts[0] != "USER" {
		return nil, false
	}
	fields = map[string]string{}
	for _, f := range parts[3:] {
		if key, value, _ := strings.Cut(f, "="); key != "" {
			fields[key] = value
		}
	}
	return fields, true
}

// encoded are schemes of every kind of data, which are tried in all encodings.
var encoded = []string{"PLAIN", "SHA256", "SSHA512", "SHA512-CRYPT", "CRAM-MD5", "SCRAM-SHA-256"}

// doveadmPasswords returns the password "secret" in every scheme that doveadm can write.
func doveadmPasswords(t *testing.T) map[string]string {
	t.Helper()
	out, err := exec.Command("doveadm", "-c", "/dev/null", "pw", "-l").Output()
	if err != nil {
		t.Fatalf("doveadm pw -l: %v", err)
	}
	stored := map[string]string{}
	for _, scheme := range strings.Fields(string(out)) {
		if scheme == "OTP" {
			continue // holds no password to be checked, see README.md
		}
		encodings := []string{""}
		if slices.Contains(encoded, scheme) {
			encodings = []string{"", ".b64", ".hex"}
		}
		for _, encoding := range encodings {
			user := "gen-" + strings.ToLower(scheme+strings.ReplaceAll(encoding, ".", "-"))
			out, err := exec.Command("doveadm", "-c", "/dev/null", "pw", "-s", scheme+encoding, "-u", user, "-p", "secret").Output()
			if err != nil {
				t.Fatalf("doveadm pw -s %s%s: %v", scheme, encoding, err)
			}
			stored[user] = strings.TrimSpace(string(out))
		}
	}
	if len(stored) < 40 {
		t.Fatalf("doveadm wrote only %d passwords", len(stored))
	}
	return stored
}

// TestDovecotAgrees gives one file to Dovecot and to the plugin: every scheme that doveadm writes, every sample, and
// the lines whose meaning is not in their syntax. Both must say the same of every login and lookup.
func TestDovecotAgrees(t *testing.T) {
	lines := []string{
		"# comment", "", ":nobody:x",
		"all:{PLAIN}secret:65534:65534:Gecos:/home/all:/bin/sh:userdb_quota_rule=*:storage=1G userdb_mail=mdbox:~/%n foo=bar",
		"percent:{PLAIN}secret:65534:65534::/home/p::userdb_x=50%%",
		"first:{PLAIN}secret:65534:65534::/home/first",
		"first:{PLAIN}second:65534:65534::/home/second",
		"nologin:{PLAIN}secret:65534:65534::/h::nologin",
		"nopassword:{PLAIN}:65534:65534::/h::nopassword",
		"nopassword-and-password:{PLAIN}secret:65534:65534::/h::nopassword",
		"nets:{PLAIN}secret:65534:65534::/h::allow_nets=127.0.0.0/8",
		"othernets:{PLAIN}secret:65534:65534::/h::allow_nets=10.0.0.0/8,::/0",
		"netsfirst:{PLAIN}secret:65534:65534::/h::allow_nets=127.0.0.1 allow_nets=10.0.0.1",
		"netslast:{PLAIN}secret:65534:65534::/h::allow_nets=10.0.0.1 allow_nets=127.0.0.1",
		"netsboth:{PLAIN}secret:65534:65534::/h::allow_nets=127.0.0.0/8 allow_nets=127.0.0.1",
		"netsremoved:{PLAIN}secret:65534:65534::/h::allow_nets=10.0.0.1 allow_nets:remove",
		"netsremovedfirst:{PLAIN}secret:65534:65534::/h::allow_nets:remove allow_nets=127.0.0.1",
		"netsdefault:{PLAIN}secret:65534:65534::/h::allow_nets=127.0.0.1 allow_nets:default=10.0.0.1",
		"renamed:{PLAIN}secret:65534:65534::/h::user=other",
		"domain:{PLAIN}secret:65534:65534::/h::domain=example.net",
		"whole:{PLAIN}secret:65534:65534::/h::username=whole@example.net",
		"domainfirst:{PLAIN}secret:65534:65534::/h::domain=example.net user=Other",
		"domainlast:{PLAIN}secret:65534:65534::/h::username=other domain=example.net",
		"nameless:{PLAIN}secret:65534:65534::/h::user=",
		"zero:{PLAIN}secret:0:0::/h",
		"named:{PLAIN}secret:nobody:nogroup::/h",
		"missing-name:{PLAIN}secret:no-such-user:nogroup::/h",
		"pam-md5:5ebe2294ecd0e0f08eab7690d2a6ee69[34]:65534:65534::/h",
		"pam-crypt:kBuB1JxjH/6eU[13]:65534:65534::/h",
		"empty-crypt:{CRYPT}:65534:65534::/h",
		"unknown-scheme:{NOPE}secret:65534:65534::/h",
		"bad-base64:{SHA1}secret!:65534:65534::/h",
		"Upper:{PLAIN}secret:65534:65534::/h",
		"user@example.org:{PLAIN}secret:65534:65534::/home/%d/%n",
		"crlf:{PLAIN}secret:65534:65534::/h\r",
		"fail:{PLAIN}secret:65534:65534::/h::fail",
	}
	users := []string{"nobody", "unknown", "", "ALL", "First"}
	add := func(user, stored string) { lines = append(lines, user+":"+stored+":65534:65534::/home/"+user) }
	for user, stored := range doveadmPasswords(t) {
		add(user, stored)
	}
	for i, s := range passwordtest.Samples {
		user := fmt.Sprintf("sample-%d", i)
		if s.User != "u" {
			user = s.User
		}
		add(user, s.Stored)
	}
	for _, line := range lines {
		if user, ok := lineUser(line); ok && !slices.Contains(users, user) {
			users = append(users, user)
		}
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "users")
	if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	dovecot := startDovecotAuth(t, path)
	p := New(slog.New(slog.DiscardHandler))
	if err := p.Configure(context.Background(), backend.Config{Options: map[string]any{"path": path}}); err != nil {
		t.Fatal(err)
	}
	passwords := []string{"secret", "wrong"}
	replies := dovecot.logins(users, passwords)
	accepted := 0
	for _, user := range users {
		for _, password := range passwords {
			r := replies[[2]string{user, password}]
			id, err := p.VerifyPassword(context.Background(), backend.PasswordRequest{
				User: user, Password: password, Service: "imap", Remote: netip.MustParseAddr("127.0.0.1")})
			switch {
			case r.nologin:
				wantKind(t, err, backend.KindAuthDenied)
			case r.ok != (err == nil):
				t.Errorf("user %q, password %q: Dovecot accepts: %v; plugin: %v", user, password, r.ok, err)
			case r.ok && id.User.Name != r.name:
				t.Errorf("user %q: Dovecot calls it %q, the plugin %q", user, r.name, id.User.Name)
			case r.ok:
				accepted++
			}
		}
		want, found := map[string]string(nil), false
		if user != "" {
			want, found = dovecot.lookup(strings.ToLower(user))
		}
		u, err := p.LookupUser(context.Background(), user)
		switch {
		case found != (err == nil):
			t.Errorf("lookup of %q: Dovecot finds it: %v; plugin: %v", user, found, err)
		case found:
			for key, value := range want {
				if u.Fields[key] != value {
					t.Errorf("lookup of %q: field %s is %q, Dovecot says %q", user, key, u.Fields[key], value)
				}
			}
			if len(u.Fields) != len(want) {
				t.Errorf("lookup of %q: fields %v, Dovecot says %v", user, u.Fields, want)
			}
		}
	}
	if accepted < 90 {
		t.Errorf("only %d logins were accepted by both", accepted)
	}
	t.Logf("%d users, %d logins accepted by both", len(users), accepted)
}
