package mdbox_test

import (
	"bufio"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/roostmail/roost/mdbox"
	"github.com/roostmail/roost/mdbox/mdboxtest"
	"github.com/roostmail/roost/mdbox/vfs"
)

// nobody owns the files of a store when the test runs as root: Dovecot serves no mail as root.
const nobody = 65534

// ownerFS is the file system as the owner of a store sees it, who is in the groups.
func ownerFS(t testing.TB, groups ...int) vfs.FS {
	t.Helper()
	if os.Geteuid() != 0 {
		return vfs.OS
	}
	fsys, err := vfs.As(vfs.OS, nobody, nobody, groups)
	if err != nil {
		t.Fatal(err)
	}
	return fsys
}

// dovecotStore is a store that a Dovecot and roost both change. It is empty at first.
type dovecotStore struct {
	*mdboxtest.Store
	location string // mail_location
	log      string
	groups   []int // that the owner is in
}

// newDovecotStore makes a home directory and a configuration. location is a mail_location below "~/".
func newDovecotStore(t *testing.T, location string, settings ...string) *dovecotStore {
	t.Helper()
	dir := mdboxtest.ReachableDir(t)
	d := &dovecotStore{location: location, log: filepath.Join(dir, "dovecot.log"), Store: &mdboxtest.Store{
		Home: filepath.Join(dir, "home"), Root: filepath.Join(dir, "home", "mdbox"), Conf: filepath.Join(dir, "dovecot.conf"),
		Expected: &mdboxtest.Expected{User: "testuser"}}}
	uid, gid := os.Getuid(), os.Getgid()
	if uid == 0 {
		uid, gid = nobody, nobody
	}
	for _, p := range []string{d.Home, filepath.Join(dir, "run"), filepath.Join(dir, "state")} {
		if err := os.Mkdir(p, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	conf := fmt.Sprintf(dovecotConf, dir, location, uid, gid, strings.Join(settings, "\n"))
	for path, content := range map[string]string{d.Conf: conf, d.log: ""} {
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, p := range []string{d.Home, d.log} {
		if err := os.Chown(p, uid, gid); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		for line := range strings.Lines(d.readLog(t)) {
			if !strings.Contains(line, ": Info: ") {
				t.Errorf("Dovecot's log: %s", line)
			}
		}
	})
	return d
}

const dovecotConf = `protocols = imap
stats_writer_socket_path =
base_dir = %[1]s/run
state_dir = %[1]s/state
log_path = %[1]s/dovecot.log
mail_location = %[2]s
mail_uid = %[3]d
mail_gid = %[4]d
ssl = no
listen = 127.0.0.1
default_internal_user = nobody
default_login_user = nobody
first_valid_uid = 1
first_valid_gid = 1
mail_cache_min_mail_count = 0
mail_index_rewrite_min_log_bytes = 512
mail_index_rewrite_max_log_bytes = 1k
mail_index_log_rotate_min_size = 1k
mail_index_log_rotate_max_size = 2k
%[5]s
namespace inbox {
  inbox = yes
  separator = /
}
`

func (d *dovecotStore) readLog(t testing.TB) string {
	t.Helper()
	b, err := os.ReadFile(d.log)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// open opens the store for writing. tune changes the options.
func (d *dovecotStore) open(t testing.TB, tune ...func(*mdbox.Options)) *mdbox.Store {
	t.Helper()
	tmpl, err := mdbox.ParseLocation(d.location)
	if err != nil {
		t.Fatal(err)
	}
	l, err := tmpl.Resolve(mdbox.Vars{User: "testuser", Home: d.Home}, "/")
	if err != nil {
		t.Fatal(err)
	}
	o := mdbox.Options{FS: ownerFS(t, d.groups...), Write: &mdbox.Writing{}, Report: func(err error) { t.Errorf("reported: %v", err) }}
	for _, f := range tune {
		f(&o)
	}
	s := mdbox.New(l, o)
	t.Cleanup(func() { s.Close() })
	return s
}

// files lists the files below the home directory: mode, owner and group of each.
func (d *dovecotStore) files(t testing.TB) (list []string) {
	t.Helper()
	err := filepath.WalkDir(d.Home, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.Type()&fs.ModeSymlink != 0 { // dbox-alt-root
			return err
		}
		st, err := vfs.OS.Stat(path)
		if err != nil {
			return err
		}
		if strings.HasPrefix(e.Name(), ".roost.") { // the marker of a process, while it has the store open
			return nil
		}
		name, _ := filepath.Rel(d.Home, path)
		list = append(list, fmt.Sprintf("%s %v %d:%d", name, st.Perm, st.UID, st.GID))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// lostView is what Dovecot logs in a session whose mailbox was renamed, or replaced by another.
var lostView = regexp.MustCompile(
	`reset, view is now inconsistent|Failed to map view .* generating missing logs|dovecot.index.cache.* No such file or directory|Event 0x[0-9a-f]* leaked`)

// imapSession is a session of Dovecot's IMAP server that goes on.
type imapSession struct {
	t   testing.TB
	in  io.WriteCloser
	out *bufio.Reader
	cmd *exec.Cmd
	n   int
	// thrownOut: that its view is inconsistent is no surprise
	thrownOut bool
}

// session starts a session. It ends with the test.
func (d *dovecotStore) session(t testing.TB) *imapSession {
	t.Helper()
	s := &imapSession{t: t, cmd: exec.Command("/usr/lib/dovecot/imap", "-c", d.Conf)}
	var stderr strings.Builder // it logs here
	s.cmd.Stderr = &stderr
	s.cmd.Env = append(os.Environ(), "HOME="+d.Home, "USER="+d.Expected.User)
	var err error
	if s.in, err = s.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	s.out = bufio.NewReader(out)
	if err := s.cmd.Start(); err != nil {
		t.Fatalf("%v (package dovecot-imapd is needed)", err)
	}
	t.Cleanup(func() {
		s.in.Close() // ends the session
		_, _ = io.Copy(io.Discard, s.out)
		_ = s.cmd.Wait()
		for line := range strings.Lines(stderr.String()) {
			if !strings.Contains(line, ": Info: ") && !(s.thrownOut && lostView.MatchString(line)) {
				t.Errorf("Dovecot: %s", line)
			}
		}
	})
	return s
}

// try runs a command and returns its untagged answers and the tagged one, without the tag.
func (s *imapSession) try(command string) (untagged, tagged string) {
	s.t.Helper()
	s.n++
	tag := fmt.Sprintf("t%d ", s.n)
	if _, err := io.WriteString(s.in, tag+command+"\r\n"); err != nil && s.thrownOut {
		return "", "BYE"
	} else if err != nil {
		s.t.Fatal(err)
	}
	for {
		line, err := s.out.ReadString('\n')
		if err == io.EOF && s.thrownOut {
			return untagged, "BYE"
		}
		if err != nil {
			s.t.Fatalf("%s: %v", command, err)
		}
		if answer, ok := strings.CutPrefix(line, tag); ok {
			return untagged, strings.TrimSpace(answer)
		}
		untagged += line
	}
}

// run runs a command that succeeds, and returns its untagged answers.
func (s *imapSession) run(command string) string {
	s.t.Helper()
	untagged, tagged := s.try(command)
	if !strings.HasPrefix(tagged, "OK") {
		s.t.Fatalf("%s: %s", command, tagged)
	}
	return untagged
}

// appendMail appends a small message.
func (s *imapSession) appendMail(mailbox, subject string) {
	s.t.Helper()
	body := "Subject: " + subject + "\r\n\r\nx\r\n"
	s.run(fmt.Sprintf("APPEND %q {%d+}\r\n%s", mailbox, len(body), body))
}

// list returns the names that LIST shows, each with its flags, sorted.
func (s *imapSession) list() map[string]string {
	s.t.Helper()
	names := map[string]string{}
	for line := range strings.Lines(s.run(`LIST "" *`)) {
		if rest, ok := strings.CutPrefix(line, "* LIST ("); ok {
			flags, rest, _ := strings.Cut(rest, `) "/" `)
			names[strings.Trim(strings.TrimSpace(rest), `"`)] = flags
		}
	}
	return names
}
