package maildir

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"golang.org/x/sys/unix"
)

func isMissing(err error) bool { return errors.Is(err, fs.ErrNotExist) }

// maxScans bounds how often directories are read again because others rename files meanwhile.
const maxScans = 10

// listing is what was in the directories.
type listing struct {
	files map[string]string // the file of each base, "cur/<name>" or "new/<name>"
	new   []string          // names in new/
	twice []string          // names in cur/ whose base has another file there
}

// scan reads new/ and then cur/, in this order: a file that is moved meanwhile is seen in one of them at least.
func (m *Mailbox) scan() (*listing, error) {
	l := &listing{files: map[string]string{}}
	entries, err := m.c.fs().ReadDir(m.path(dirNew))
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if name := e.Name(); m.isMessage(e) {
			l.new = append(l.new, name)
			l.files[Base(name)] = dirNew + "/" + name
		}
	}
	if entries, err = m.c.fs().ReadDir(m.path(dirCur)); err != nil {
		return nil, err
	}
	for _, e := range entries {
		if !m.isMessage(e) {
			continue
		}
		name := e.Name()
		base := Base(name)
		if strings.HasPrefix(l.files[base], dirCur) || base == "" {
			l.twice = append(l.twice, name)
			continue
		}
		l.files[base] = dirCur + "/" + name
	}
	return l, nil
}

// isMessage reports whether an entry of new/ or cur/ is a message.
func (m *Mailbox) isMessage(e fs.DirEntry) bool {
	if strings.HasPrefix(e.Name(), ".") || e.IsDir() {
		return false
	}
	if err := checkName(e.Name()); err != nil {
		m.c.report(fmt.Errorf("maildir: %s: left out %q: %w", m.dirs.Mail, e.Name(), err))
		return false
	}
	return true
}

// collect reads the directories, moves what is in new/ to cur/, and gives another name to files that share a base.
// moved says that a directory was changed.
func (l *Locked) collect() (files map[string]string, moved bool, err error) {
	for range maxScans {
		found, err := l.m.scan()
		if err != nil {
			return nil, moved, err
		}
		again := false
		for _, name := range found.new {
			missed, err := l.moveToCur(found, name)
			if err != nil {
				return nil, moved, err
			}
			moved, again = true, again || missed
		}
		for _, name := range found.twice {
			if err := l.separate(found, dirCur+"/"+name); err != nil {
				return nil, moved, err
			}
			moved = true
		}
		files = found.files
		if !again {
			break
		}
	}
	return files, moved, nil
}

// moveToCur moves a message from new/ to cur/. missed says that somebody else has taken it, and that it is not known where to.
func (l *Locked) moveToCur(found *listing, name string) (missed bool, err error) {
	if err := l.touch(); err != nil {
		return false, err
	}
	base, from := Base(name), dirNew+"/"+name
	if found.files[base] != from { // in cur/ as well
		return false, l.separate(found, from)
	}
	to := dirCur + "/" + name
	if base == "" {
		base = newBase(l.m.c.now())
		to = dirCur + "/" + base + name
		delete(found.files, "")
	} else if base == name {
		to += infoPrefix
	}
	switch err := l.m.c.fs().Rename(l.m.path(from), l.m.path(to)); {
	case err == nil:
		found.files[base] = to
		return false, nil
	case isMissing(err):
		delete(found.files, base)
		return true, nil
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT), errors.Is(err, fs.ErrPermission), l.m.stays(from, err):
		return false, nil // it stays in new/
	default:
		return false, err
	}
}

// separate gives a file another base if it is not the same file as that of its base in found, which is in cur/.
func (l *Locked) separate(found *listing, file string) error {
	m := l.m
	_, name, _ := strings.Cut(file, "/")
	st, err := m.c.fs().Stat(m.path(file))
	if isMissing(err) {
		return nil
	}
	if err != nil {
		return err
	}
	base := Base(name)
	if other := found.files[base]; other != "" {
		same, err := m.c.fs().Stat(m.path(other))
		switch {
		case isMissing(err):
			found.files[base] = file // it was renamed while the directory was read
			return nil
		case err != nil:
			return err
		case same.SameFile(st):
			return nil // two names of one file
		}
	}
	base = newBase(m.c.now())
	flags, letters := ParseFlags(name)
	to := dirCur + "/" + WithFlags(base+name[len(Base(name)):], flags, letters)
	if err := m.c.fs().Rename(m.path(file), m.path(to)); err != nil {
		if isMissing(err) || m.stays(file, err) {
			return nil
		}
		return err
	}
	m.c.report(fmt.Errorf("maildir: %s: two messages had the name %q: one is %q now", m.dirs.Mail, name, to))
	found.files[base] = to
	return nil
}

// stays reports err, and returns true, if it says that a file can not be renamed or removed: it stays where it is, and the others are
// gone on with.
func (m *Mailbox) stays(file string, err error) bool {
	for _, e := range []error{unix.ENAMETOOLONG, unix.EACCES, unix.EPERM, unix.EROFS, unix.ENOSPC, unix.EDQUOT} {
		if errors.Is(err, e) {
			m.c.report(fmt.Errorf("maildir: %s: %q stays as it is: %w", m.dirs.Mail, file, err))
			return true
		}
	}
	return false
}

// errGone says that a message has no file.
var errGone = fmt.Errorf("it has no file: %w", fs.ErrNotExist)
