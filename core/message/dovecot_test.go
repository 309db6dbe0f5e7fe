package message

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// dovecot is a private Dovecot IMAP server on a pipe, with one user and an empty INBOX. It is the judge of this package.
type dovecot struct {
	t   *testing.T
	in  io.WriteCloser
	out *bufio.Reader
	tag int
	dir string
}

const dovecotConf = `base_dir = DIR/run
state_dir = DIR/state
log_path = DIR/dovecot.log
ssl = no
protocols = imap
default_internal_user = nobody
default_login_user = nobody
first_valid_uid = 0
first_valid_gid = 0
mail_uid = UID
mail_gid = GID
stats_writer_socket_path =
mail_location = mdbox:~/mdbox
mail_fsync = never
mail_save_crlf = CRLF
namespace inbox {
  inbox = yes
  separator = /
}
`

// startDovecot starts the server, with mail_save_crlf set to saveCRLF; it ends with the test. Dovecot's own program is needed (Debian: dovecot-imapd).
func startDovecot(t *testing.T, saveCRLF string) *dovecot {
	t.Helper()
	const program = "/usr/lib/dovecot/imap"
	if _, err := os.Stat(program); err != nil {
		t.Fatalf("this test compares with Dovecot, and needs the Debian package dovecot-imapd: %v", err)
	}
	dir, err := os.MkdirTemp("", "roost-dovecot-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	uid, gid := os.Getuid(), os.Getgid()
	if uid == 0 {
		uid, gid = 65534, 65534
	}
	conf := strings.NewReplacer("DIR", dir, "CRLF", saveCRLF, "UID", strconv.Itoa(uid), "GID", strconv.Itoa(gid)).Replace(dovecotConf)
	for _, d := range []string{"", "home", "run", "state"} {
		d = filepath.Join(dir, d)
		if err := os.MkdirAll(d, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(d, uid, gid); err != nil {
			t.Fatal(err)
		}
	}
	file := filepath.Join(dir, "dovecot.conf")
	if err := os.WriteFile(file, []byte(conf), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "-c", file)
	cmd.Env = append(os.Environ(), "HOME="+dir+"/home", "USER=testuser", "TZ=UTC")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	d := &dovecot{t: t, in: in, out: bufio.NewReaderSize(out, 1<<20), dir: dir}
	t.Cleanup(func() {
		in.Close()
		cmd.Wait()
	})
	if greeting := d.response(); !bytes.HasPrefix(greeting, []byte("* PREAUTH")) {
		t.Fatalf("greeting %q", greeting)
	}
	d.cmd("SELECT INBOX")
	return d
}

// response reads one response with its literals.
func (d *dovecot) response() []byte {
	d.t.Helper()
	var resp []byte
	for {
		line, err := d.out.ReadBytes('\n')
		resp = append(resp, line...)
		if err != nil {
			d.t.Fatalf("dovecot: %v after %q\n%s", err, resp, d.log())
		}
		n, ok := literalSize(line)
		if !ok {
			return resp
		}
		lit := make([]byte, n)
		if _, err := io.ReadFull(d.out, lit); err != nil {
			d.t.Fatalf("dovecot: literal: %v after %q\n%s", err, resp, d.log())
		}
		resp = append(resp, lit...)
	}
}

func (d *dovecot) log() []byte {
	b, _ := os.ReadFile(filepath.Join(d.dir, "dovecot.log"))
	return b
}

func literalSize(line []byte) (int, bool) {
	line, ok := bytes.CutSuffix(line, []byte("}\r\n"))
	if !ok {
		return 0, false
	}
	n, err := strconv.Atoi(string(line[bytes.LastIndexByte(line, '{')+1:]))
	return n, err == nil
}

// cmd runs a command, which must succeed, and returns its untagged responses.
func (d *dovecot) cmd(format string, args ...any) []byte {
	d.t.Helper()
	untagged, status := d.try(format, args...)
	if !strings.HasPrefix(status, "OK") {
		d.t.Fatalf("%.300q: %q", fmt.Sprintf(format, args...), status)
	}
	return untagged
}

// try runs a command and returns its untagged responses, and what stands behind the tag.
func (d *dovecot) try(format string, args ...any) (untagged []byte, status string) {
	d.t.Helper()
	d.tag++
	tag := fmt.Sprintf("t%d", d.tag)
	if _, err := fmt.Fprintf(d.in, "%s %s\r\n", tag, fmt.Sprintf(format, args...)); err != nil {
		d.t.Fatal(err)
	}
	for {
		resp := d.response()
		if rest, ok := bytes.CutPrefix(resp, []byte(tag+" ")); ok {
			return untagged, string(rest)
		}
		untagged = append(untagged, resp...)
	}
}

// replace makes msgs the content of INBOX, from sequence number 1 on.
func (d *dovecot) replace(msgs [][]byte) {
	d.t.Helper()
	d.cmd("UID STORE 1:* +FLAGS.SILENT (\\Deleted)")
	d.cmd("EXPUNGE")
	for _, m := range msgs {
		d.cmd("APPEND INBOX {%d+}\r\n%s", len(m), m)
	}
	d.cmd("NOOP")
}

// message returns the message with a sequence number.
func (d *dovecot) message(seq int) []byte {
	d.t.Helper()
	resp := d.cmd("FETCH %d BODY.PEEK[]", seq)
	start := bytes.Index(resp, []byte("}\r\n")) + 3
	n, ok := literalSize(resp[:start])
	if !ok {
		d.t.Fatalf("no message in %q", resp)
	}
	return resp[start : start+n]
}
