package index

import (
	"errors"
	"io/fs"

	"github.com/roostmail/roost/mdbox/vfs"
)

// Suffixes of the files beside a snapshot.
const (
	tmpSuffix    = ".tmp"
	backupSuffix = ".backup"
)

// writeSnapshot replaces the snapshot by one of the state (index.md §7).
func (l *Locked) writeSnapshot() error {
	fsys, path := l.x.o.FS, l.x.snapshotPath()
	if err := l.syncLog(); err != nil {
		return err
	}
	tmp := path + tmpSuffix
	if err := l.writeFile(tmp, l.x.state.AppendSnapshot(nil)); err != nil {
		return err
	}
	if l.w.Backup {
		if err := l.keepBackup(); err != nil {
			return errors.Join(err, fsys.Remove(tmp))
		}
	}
	if err := fsys.Rename(tmp, path); err != nil {
		return errors.Join(err, fsys.Remove(tmp))
	}
	l.x.onDisk, l.x.replayed = l.x.state.pos, 0
	if l.x.stuck {
		l.x.noteSnapshot()
	}
	return nil
}

// syncLog makes the log durable before something that is durable names its end: a
// snapshot, or the log after it. Else a power cut could leave one that stands beyond
// the end of the log.
func (l *Locked) syncLog() error {
	if l.w.Fsync == FsyncNever {
		return nil
	}
	return l.out.Sync()
}

// writeFile makes a new file with the content b, in the place of what a writer may have
// left that did not come to the end.
func (l *Locked) writeFile(path string, b []byte) error {
	fsys := l.x.o.FS
	perm, err := l.w.perm()
	if err != nil {
		return err
	}
	f, err := perm.Create(fsys, path, 0)
	if errors.Is(err, fs.ErrExist) {
		if err := fsys.Remove(path); err != nil {
			return err
		}
		f, err = perm.Create(fsys, path, 0)
	}
	if err != nil {
		return err
	}
	err = writeAll(f, b)
	if err == nil && l.w.Fsync != FsyncNever {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, fsys.Remove(path))
	}
	return nil
}

// writeAll writes b with as many calls as it takes: one writes at most 2 GiB.
func writeAll(f vfs.WritableFile, b []byte) error {
	const most = 1 << 30
	for len(b) > 0 {
		n, err := f.Write(b[:min(len(b), most)])
		if err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

// keepBackup gives the snapshot that is about to be replaced the name .backup. That one is
// what Dovecot takes flags from when it has to rebuild a mailbox, so it must be on disk
// before it is called so (dovecot src/lib-index/mail-index-write.c, mail_index_create_backup).
func (l *Locked) keepBackup() error {
	fsys, path := l.x.o.FS, l.x.snapshotPath()
	f, err := fsys.OpenWrite(path, 0, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if l.w.Fsync != FsyncNever {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	backup := path + backupSuffix
	tmp := backup + tmpSuffix
	err = fsys.Link(path, tmp)
	if errors.Is(err, fs.ErrExist) {
		if err := fsys.Remove(tmp); err != nil {
			return err
		}
		err = fsys.Link(path, tmp)
	}
	if err != nil {
		return err
	}
	return fsys.Rename(tmp, backup)
}
