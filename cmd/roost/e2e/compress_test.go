package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/roostmail/roost/cmd/internal/rig"
)

// compressProgram talks compressed (RFC 4978) with zlib in a kind of flush, and prints what COMPRESS was answered, the capabilities before and
// behind it, and the hash of every message.
const compressProgram = `
import hashlib, imaplib, json, re, ssl, sys, zlib
host, port, user, cert, mode, flush = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4], sys.argv[5], getattr(zlib, sys.argv[6])
imaplib._MAXLINE = 100_000_000
imaplib.Commands["COMPRESS"] = ("NONAUTH", "AUTH", "SELECTED")

class Pipe:
    "the two streams of a connection"
    def __init__(self, c):
        self.sock, self.buf = c.sock, b""
        self.out, self.in_ = zlib.compressobj(6, zlib.DEFLATED, -15), zlib.decompressobj(-15)
        self.wire = self.plain = 0
    def fill(self):
        b = self.sock.recv(65536)
        if not b:
            raise EOFError
        d = self.in_.decompress(b)
        self.wire, self.plain = self.wire + len(b), self.plain + len(d)
        self.buf += d
    def send(self, b):
        self.sock.sendall(self.out.compress(b) + self.out.flush(flush))
    def read(self, n):
        while len(self.buf) < n:
            self.fill()
        b, self.buf = self.buf[:n], self.buf[n:]
        return b
    def readline(self):
        while b"\n" not in self.buf:
            self.fill()
        i = self.buf.index(b"\n") + 1
        b, self.buf = self.buf[:i], self.buf[i:]
        return b

def connect():
    ctx = ssl.create_default_context(cafile=cert)
    return imaplib.IMAP4_SSL(host, port, ssl_context=ctx) if mode == "tls" else imaplib.IMAP4(host, port)

out = {"answers": []}
def compress(c, *args):
    try:
        typ, data = c._simple_command("COMPRESS", *args)
    except imaplib.IMAP4.error as e:
        typ, data = "BAD", [b""]
    code = re.match(rb"\[.*?\]", data[0])
    out["answers"].append([" ".join(args), typ, code.group(0).decode() if code else ""])

c = connect()
out["announced"] = ["COMPRESS=DEFLATE" in c.capabilities]
compress(c, "DEFLATE")
c.login(user, "pass")
c._get_capabilities()
out["announced"].append("COMPRESS=DEFLATE" in c.capabilities)
for args in ((), ('"DEFLATE"',), ("DEFLATE", "DEFLATE"), ("LZW",), ("deflate",)):
    compress(c, *args)
p = Pipe(c)
c.send, c.read, c.readline = p.send, p.read, p.readline
c._get_capabilities()
out["announced"].append("COMPRESS=DEFLATE" in c.capabilities)
for args in (("DEFLATE",), ("LZW",), ()):
    compress(c, *args)
out["mail"] = {}
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
    for i in range(20):
        typ, data2 = c.noop()
        assert typ == "OK", data2
    if name.startswith('"'):
        name = name[1:-1].replace('\\"', '"').replace('\\\\', '\\')
    out["mail"][name] = {re.search(rb"UID (\d+)", d[0]).group(1).decode(): hashlib.sha256(d[1]).hexdigest() for d in data if isinstance(d, tuple)}
p.send(b"z LOGOUT\r\n")
try:
    while True:
        p.fill()
except EOFError:
    pass
out["end"] = p.in_.eof
out["smaller"] = p.wire < p.plain
json.dump(out, sys.stdout)
`

// compressed is what compressProgram prints.
type compressed struct {
	Answers   [][3]string // arguments, status, response code
	Announced []bool      // before the login, behind it, behind COMPRESS
	Mail      map[string]map[string]string
	End       bool // the server ended its stream before it closed the connection
	Smaller   bool // than without compression
}

// TestCompressAsDovecot talks compressed to roost and to Dovecot with its imap_zlib plugin, with several kinds of flush, in the clear
// and within TLS: the answers are the same, and all mail arrives.
func TestCompressAsDovecot(t *testing.T) {
	dir, want := makeStore(t, variants[0])
	roostDir := filepath.Join(tempDir(t), "s")
	must(t, rig.CopyTree(dir, roostDir))
	d := startDovecot(t, rig.DovecotOptions{Home: filepath.Join(dir, "home"), Extra: "mail_plugins = zlib\nprotocol imap {\n  mail_plugins = zlib imap_zlib\n}\n"})
	r := startRoost(t, rig.RoostOptions{Home: filepath.Join(roostDir, "home"), Users: []string{storeUser}})
	program := filepath.Join(tempDir(t), "compress.py")
	must(t, os.WriteFile(program, []byte(compressProgram), 0o644))
	talk := func(addr, cert, mode, flush string) (c compressed) {
		_, port, _ := strings.Cut(addr, ":")
		must(t, json.Unmarshal(tool(t, filepath.Dir(program), "python3", program, "localhost", port, storeUser, cert, mode, flush), &c))
		return c
	}
	dovecot := talk(d.Addr, "", "plain", "Z_SYNC_FLUSH")
	// RFC 4978 §3 answers an unknown argument with BAD; Dovecot says NO.
	differs := [3]string{"LZW", "NO", ""}
	if i := slices.Index(dovecot.Answers, differs); i < 0 {
		t.Errorf("Dovecot answers %q", dovecot.Answers)
	} else {
		dovecot.Answers[i][1] = "BAD"
	}
	for _, mode := range []string{"plain", "tls"} {
		for _, flush := range []string{"Z_SYNC_FLUSH", "Z_PARTIAL_FLUSH", "Z_FULL_FLUSH"} {
			t.Run(mode+" "+flush, func(t *testing.T) {
				addr, cert := r.Addr, ""
				if mode == "tls" {
					addr, cert = r.TLSAddr, filepath.Join(filepath.Dir(r.Config), "cert.pem")
				}
				got := talk(addr, cert, mode, flush)
				if !reflect.DeepEqual(got, dovecot) {
					t.Errorf("roost: %+v\nDovecot: %+v", got, dovecot)
				}
				n := 0
				for name, m := range want.Mailboxes {
					for _, mail := range m.Mails {
						n++
						if g := got.Mail[m.MUTF7][fmt.Sprint(mail.UID)]; g != mail.SHA256 {
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
