package passwdfile

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/plugins/sdk/authdb"
)

// A file of app passwords has one a line, of which a user may have several; Dovecot does not read it:
//
//	user:label:password:expires:scopes
//
// user is the normalised name, label names the password in the log (no two of a user have the same), password is {SCHEME}data, expires and scopes are as
// authdb.ParseAppPassword takes them, expires without a colon (a day, or seconds of UNIX time). Empty lines and those that begin with '#' are skipped.

// AppLine is a line of such a file.
type AppLine struct {
	User    string
	Label   string
	Stored  string // {SCHEME}data
	Scopes  string
	Expires string
}

// parseAppLine returns false for a line that has no app password.
func parseAppLine(line string) (a AppLine, ok bool) {
	parts := strings.SplitN(strings.TrimRight(line, "\r\n"), ":", 5)
	if len(parts) < 5 || parts[0] == "" || parts[0][0] == '#' || parts[1] == "" || parts[2] == "" {
		return AppLine{}, false
	}
	return AppLine{User: parts[0], Label: parts[1], Stored: parts[2], Expires: parts[3], Scopes: parts[4]}, true
}

func (a AppLine) String() string {
	return strings.Join([]string{a.User, a.Label, a.Stored, a.Expires, a.Scopes}, ":") + "\n"
}

// appLines returns the lines by their users.
func appLines(path, text string, log logger) map[string][]AppLine {
	m := map[string][]AppLine{}
	number := 0
	for line := range strings.Lines(text) {
		number++
		a, ok := parseAppLine(line)
		if ok {
			m[a.User] = append(m[a.User], a)
		} else if s := strings.TrimSpace(line); s != "" && s[0] != '#' {
			log.Error("line is ignored", "file", path, "line", number, "error", "not of the form user:label:password:expires:scopes")
		}
	}
	return m
}

// AppPasswords implements authdb.AppPasswords.
func (p users) AppPasswords(_ context.Context, name string, v authdb.Vars) ([]authdb.AppPassword, error) {
	f := p.opts.apps
	if f.path == "" {
		return nil, nil
	}
	path, ok, err := v.ExpandPath(f.path)
	if err != nil {
		return nil, internal(err)
	}
	if !ok {
		return nil, nil
	}
	lines, err := p.apps.get(path)
	if errors.Is(err, fs.ErrNotExist) { // it is made with the first password
		return nil, nil
	}
	if err != nil {
		return nil, &backend.Error{Kind: backend.KindUnavailable, Detail: err.Error(), Cause: err}
	}
	var list []authdb.AppPassword
	for _, l := range lines[name] {
		a, err := authdb.ParseAppPassword(l.Label, l.Stored, l.Scopes, l.Expires)
		if err != nil {
			p.log.Error("app password is not used", "file", path, "user", name, "label", l.Label, "error", err)
			continue
		}
		list = append(list, a)
	}
	return list, nil
}

// ReadAppLines returns the app passwords of a file in their order; none if there is no file.
func ReadAppLines(path string) ([]AppLine, error) {
	b, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var list []AppLine
	for line := range strings.Lines(string(b)) {
		if a, ok := parseAppLine(line); ok {
			list = append(list, a)
		}
	}
	return list, nil
}

// ChangeAppLines replaces a file of app passwords by what change makes of its lines, comments included, each with its line end. A file that is not there
// is made with mode 0600; owner and mode of one that is stay. Nobody else who uses ChangeAppLines changes the file meanwhile.
func ChangeAppLines(path string, change func(lines []string) ([]string, error)) error {
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer dir.Close()
	if err := unix.Flock(int(dir.Fd()), unix.LOCK_EX); err != nil {
		return fmt.Errorf("lock %s: %w", dir.Name(), err)
	}
	var lines []string
	b, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if len(b) > 0 && !bytes.HasSuffix(b, []byte("\n")) {
		b = append(b, '\n')
	}
	for line := range strings.Lines(string(b)) {
		lines = append(lines, line)
	}
	if lines, err = change(lines); err != nil {
		return err
	}
	return replaceFile(dir, path, strings.Join(lines, ""))
}

// replaceFile puts a file in the place of another one, whole or not at all.
func replaceFile(dir *os.File, path, text string) error {
	f, err := os.CreateTemp(dir.Name(), filepath.Base(path)+".new-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // in vain after the rename
	defer f.Close()
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err == nil {
		if err := f.Chown(int(st.Uid), int(st.Gid)); err != nil {
			return err
		}
		if err := f.Chmod(fs.FileMode(st.Mode & 0o777)); err != nil {
			return err
		}
	}
	if _, err := f.WriteString(text); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	return dir.Sync()
}
