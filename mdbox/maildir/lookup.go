package maildir

import (
	"fmt"

	"github.com/roostmail/roost/mdbox/vfs"
)

// Lookup returns what dovecot-uidlist says about a message; ok is false if it has no such UID.
func (m *Mailbox) Lookup(uid uint32) (e Entry, ok bool, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.lookup(uid)
}

// lookup is Lookup with m.mu held.
func (m *Mailbox) lookup(uid uint32) (Entry, bool, error) {
	if m.list != nil {
		if e := m.list.find(uid); e != nil {
			return *e, true, nil
		}
	}
	if err := m.readList(); err != nil || m.list == nil {
		return Entry{}, false, err
	}
	if e := m.list.find(uid); e != nil {
		return *e, true, nil
	}
	return Entry{}, false, nil
}

// Open opens the file of a message. The error is fs.ErrNotExist if it has none: then it was expunged. What is no file, such as a FIFO, which nobody
// may ever write to, is not opened.
func (m *Mailbox) Open(uid uint32) (f vfs.File, e Entry, err error) {
	err = m.at(uid, func(found Entry, path string) (err error) {
		e = found
		st, err := m.c.fs().Stat(path)
		if err != nil {
			return err
		}
		if st.Special || st.Dir {
			return fmt.Errorf("maildir: %s is no file", path)
		}
		f, err = m.c.fs().Open(path)
		return err
	})
	return f, e, err
}

// at calls f with the path of a message, and again if the file was renamed meanwhile.
func (m *Mailbox) at(uid uint32, f func(e Entry, path string) error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	e, ok, err := m.lookup(uid)
	if err != nil {
		return err
	}
	if !ok {
		return fmt.Errorf("maildir: message %d of %s: %w", uid, m.dirs.Mail, errGone)
	}
	for try := range maxScans {
		file, found := m.files[e.Base]
		if found {
			if err := f(e, m.path(file)); !isMissing(err) {
				return err
			}
		}
		if try > 0 && !found {
			break
		}
		now, err := m.scan()
		if err != nil {
			return err
		}
		m.files = now.files
	}
	return fmt.Errorf("maildir: message %d of %s: %w", uid, m.dirs.Mail, errGone)
}

// MemoryBytes is about how much memory the mailbox takes.
func (m *Mailbox) MemoryBytes() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	const perEntry, perFile = 100, 200 // the names, of which the map has two
	n := int64(len(m.files)) * perFile
	if m.list != nil {
		n += int64(len(m.list.Entries)) * perEntry
	}
	return n
}

// GUID returns the GUID of the mailbox, zero if it has none yet.
func (m *Mailbox) GUID() ([16]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.readList(); err != nil || m.list == nil {
		return [16]byte{}, err
	}
	return m.list.GUID, nil
}
