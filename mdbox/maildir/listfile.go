package maildir

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/roostmail/roost/mdbox/filelock"
	"github.com/roostmail/roost/mdbox/index"
	"github.com/roostmail/roost/mdbox/vfs"
)

// readList brings m.list up to date; m.mu is held. It is nil if the file does not exist, or its header is broken, which is reported.
func (m *Mailbox) readList() error {
	path := m.uidlistPath()
	st, err := m.c.fs().Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		m.list, m.listInfo = nil, vfs.Info{}
		return nil
	}
	if err != nil || m.list != nil && st == m.listInfo {
		return err
	}
	b, err := vfs.ReadFile(m.c.fs(), path, m.maxListBytes())
	if err != nil {
		return fmt.Errorf("maildir: %w", err)
	}
	report := func(e *vfs.CorruptError) { m.c.report(fmt.Errorf("maildir: %w", vfs.At(e, path, 0))) }
	list, err := DecodeUidlist(b, report)
	var corrupt *vfs.CorruptError
	if errors.As(err, &corrupt) {
		report(corrupt)
		list, err = nil, nil
	}
	m.list, m.listInfo = list, st
	if int64(len(b)) != st.Size {
		m.listInfo = vfs.Info{} // it grew meanwhile: read it again next time
	}
	return err
}

func (m *Mailbox) maxListBytes() int64 {
	if m.c.MaxUidlistBytes == 0 {
		return DefaultMaxUidlistBytes
	}
	return m.c.MaxUidlistBytes
}

// appendList appends the entries from number first on to the file, which has all before them.
func (l *Locked) appendList(first int) error {
	m := l.m
	var b []byte
	for i := range m.list.Entries[first:] {
		b = m.list.Entries[first+i].append(b)
	}
	f, err := m.c.fs().OpenWrite(m.uidlistPath(), vfs.Append, 0)
	if err != nil {
		return err
	}
	n, err := f.Write(b)
	if err != nil && n > 0 { // nobody may append to a part of a line
		err = errors.Join(err, f.Truncate(m.listInfo.Size))
	}
	if err == nil {
		err = m.sync(f)
	}
	if err == nil {
		m.listInfo, err = f.Stat()
	}
	return errors.Join(err, f.Close())
}

// rewriteList replaces the file. Like Dovecot, it writes into a file of its own and not into the lock.
func (l *Locked) rewriteList() error {
	m := l.m
	temp := m.uidlistPath() + ".tmp"
	if err := m.c.fs().Remove(temp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := m.perm.Create(m.c.fs(), temp, 0)
	if err != nil {
		return err
	}
	err = writeAll(f, m.list.Append(nil))
	if err == nil {
		err = m.sync(f)
	}
	if err == nil {
		err = l.lock.Check()
	}
	if err == nil {
		err = m.c.fs().Rename(temp, m.uidlistPath())
	}
	if err != nil {
		return errors.Join(err, f.Close(), m.c.fs().Remove(temp))
	}
	if m.listInfo, err = f.Stat(); err == nil {
		m.list.Outdated = false
		err = m.syncDir(m.dirs.Control)
	}
	return errors.Join(err, f.Close())
}

// readKeywords reads dovecot-keywords.
func (m *Mailbox) readKeywords() (Keywords, error) {
	const limit = 1 << 20
	b, err := vfs.ReadFile(m.c.fs(), m.keywordsPath(), limit)
	if errors.Is(err, fs.ErrNotExist) {
		return Keywords{}, nil
	}
	return DecodeKeywords(b), err
}

// writeKeywords replaces dovecot-keywords, under its own lock, within the lock of the mailbox.
func (l *Locked) writeKeywords() error {
	m := l.m
	d, err := m.c.Lock.Dotlock(l.ctx, m.keywordsPath(), filelock.DotlockOptions{Suffix: ".lock", Timeout: lockTimeout, Stale: lockStale, Perm: m.perm})
	if err != nil {
		return err
	}
	err = writeAll(d.File, l.keywords.Append(nil))
	if err == nil {
		err = m.sync(d.File)
	}
	if err != nil {
		return errors.Join(err, d.Release())
	}
	if err := d.Replace(); err != nil {
		return err
	}
	return m.syncDir(m.dirs.Control)
}

func writeAll(f vfs.WritableFile, b []byte) error {
	if len(b) == 0 {
		return nil
	}
	_, err := f.Write(b)
	return err
}

func (m *Mailbox) sync(f vfs.WritableFile) error {
	if m.c.Fsync == index.FsyncNever {
		return nil
	}
	return f.Sync()
}

func (m *Mailbox) syncDir(dir string) error {
	if m.c.Fsync == index.FsyncNever {
		return nil
	}
	return m.c.fs().SyncDir(dir)
}
