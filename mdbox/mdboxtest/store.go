package mdboxtest

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"unicode/utf16"
)

// Store is a mailstore on disk.
type Store struct {
	Home        string // HOME of the user
	Root        string // the mdbox root; it may not exist yet
	Alt         string // the alternative storage, if the store has one
	Attachments string // the attachment directory, if the store has one
	Conf        string // Dovecot's configuration; empty for golden stores
	Expected    *Expected
}

// MakeStore lets the installed Dovecot write a store; args are options of
// testdata/make-store.sh. Its files belong to uid nobody when the test runs as
// root, and are reachable for it.
func MakeStore(t testing.TB, args ...string) *Store {
	t.Helper()
	dir := ReachableDir(t)
	out := filepath.Join(dir, "store")
	cmd := exec.Command(filepath.Join(TestData(t), "make-store.sh"), append(args, "--quiet", out)...)
	if b, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("make-store.sh %s: %v\n%s", strings.Join(args, " "), err, b)
	}
	home := filepath.Join(out, "home")
	return &Store{
		Home:        home,
		Root:        filepath.Join(home, "mdbox"),
		Alt:         filepath.Join(home, "mdbox-alt"),
		Attachments: filepath.Join(out, "attachments"),
		Conf:        filepath.Join(out, "dovecot.conf"),
		Expected:    ReadExpected(t, filepath.Join(out, "expected.json")),
	}
}

// ReachableDir returns a temporary directory that every user may enter, unlike
// that of t.TempDir, whose parent only its owner may.
func ReachableDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "mdboxtest-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// Mailbox returns the directory with the index of a mailbox; name is UTF-8 with "/".
func (s *Store) Mailbox(name string) string {
	return filepath.Join(s.Root, "mailboxes", filepath.FromSlash(mutf7(name)), "dbox-Mails")
}

// Storage returns the directory with the m.N files and the map.
func (s *Store) Storage() string { return filepath.Join(s.Root, "storage") }

// Doveadm runs doveadm for the user of the store and returns what it prints. It
// needs a store made by MakeStore.
func (s *Store) Doveadm(t testing.TB, args ...string) string {
	t.Helper()
	var stderr bytes.Buffer
	cmd := exec.Command("doveadm", append([]string{"-c", s.Conf}, args...)...)
	cmd.Env = s.env()
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("doveadm %s: %v (package dovecot-core is needed)\n%s", strings.Join(args, " "), err, stderr.String())
	}
	return string(out)
}

// IMAP runs commands, one a line without tag, in a session of Dovecot's IMAP
// server over a pipe, and returns what it answers. A command that fails ends the test.
func (s *Store) IMAP(t testing.TB, commands ...string) string {
	t.Helper()
	var in, stderr bytes.Buffer
	for _, c := range commands {
		in.WriteString("a " + c + "\r\n")
	}
	cmd := exec.Command("/usr/lib/dovecot/imap", "-c", s.Conf)
	cmd.Env = s.env()
	cmd.Stderr = &stderr
	stdin, err := cmd.StdinPipe() // stays open to the end: Dovecot gives up on a client that it can not write to otherwise
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatalf("%v (package dovecot-imapd is needed)", err)
	}
	written := make(chan struct{})
	go func() {
		defer close(written)
		_, _ = in.WriteTo(stdin) // what was not taken is missed in the answers
	}()
	var out strings.Builder
	left, loggedOut := len(commands), false
	for r := bufio.NewReader(stdout); ; {
		line, err := r.ReadString('\n')
		out.WriteString(line)
		if err != nil {
			break
		}
		if strings.HasPrefix(line, "a ") {
			left--
		}
		if left <= 0 && !loggedOut { // not before: a Dovecot that logs out throws away what its client is too slow to take
			loggedOut = true
			_, _ = io.WriteString(stdin, "a LOGOUT\r\n")
		}
	}
	<-written
	if err := cmd.Wait(); err != nil || strings.Count(out.String(), "\r\na OK") != len(commands)+1 {
		t.Fatalf("dovecot imap: %v\n%s%s", err, out.String(), stderr.String())
	}
	return out.String()
}

func (s *Store) env() []string {
	return append(os.Environ(), "HOME="+s.Home, "USER="+s.Expected.User)
}

// mutf7 is the modified UTF-7 of RFC 3501 §5.1.3, written apart from the code under test.
func mutf7(s string) string {
	var out strings.Builder
	var run []uint16
	flush := func() {
		if len(run) > 0 {
			b, _ := binary.Append(nil, binary.BigEndian, run)
			out.WriteString("&" + strings.ReplaceAll(base64.RawStdEncoding.EncodeToString(b), "/", ",") + "-")
			run = nil
		}
	}
	for _, r := range s {
		switch {
		case r == '&':
			flush()
			out.WriteString("&-")
		case r >= ' ' && r <= '~':
			flush()
			out.WriteRune(r)
		default:
			run = utf16.AppendRune(run, r)
		}
	}
	flush()
	return out.String()
}

// ReadStored reads bytes of m.<fileID>, from the storage or the alternative storage.
func (s *Store) ReadStored(t testing.TB, fileID uint32, off, size int64) []byte {
	t.Helper()
	name := filepath.Join("storage", "m."+strconv.FormatUint(uint64(fileID), 10))
	b, err := os.ReadFile(filepath.Join(s.Root, name))
	if errors.Is(err, fs.ErrNotExist) {
		b, err = os.ReadFile(filepath.Join(s.Alt, name))
	}
	if err != nil {
		t.Fatal(err)
	}
	if off > int64(len(b)) || size > int64(len(b))-off {
		t.Fatalf("%s: %d bytes at %d of %d", name, size, off, len(b))
	}
	return b[off : off+size]
}
