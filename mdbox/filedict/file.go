package filedict

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/roostmail/roost/mdbox/filelock"
	"github.com/roostmail/roost/mdbox/vfs"
)

// How long FILE.lock is waited for, and after how long it is overridden (dovecot src/lib-dict/dict-file.c,
// file_dict_dotlock_settings).
const (
	lockTimeout = 120 * time.Second
	lockStale   = 60 * time.Second
)

// DefaultMaxBytes bounds a file that is read or written.
const DefaultMaxBytes = 16 << 20

// File is a file dictionary.
type File struct {
	FS    vfs.FS
	Path  string
	Locks *filelock.Config
	Perm  vfs.Perm // of a new file; one that takes the place of another has the permissions of that
	Fsync bool     // a change is durable when Update returns
	Max   int64    // bytes of the file; 0 = DefaultMaxBytes
}

func (f *File) max() int64 {
	if f.Max == 0 {
		return DefaultMaxBytes
	}
	return f.Max
}

// Read returns the content of the file. One that does not exist is empty. The error is vfs.ErrTooLarge for a file above Max.
func (f *File) Read() (*Dict, error) {
	b, err := vfs.ReadFile(f.FS, f.Path, f.max())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("filedict: read %s: %w", f.Path, err)
	}
	return Decode(b), nil
}

// Update lets change change the content of the file while nobody else can. An error of change leaves the file as it is, and is
// returned as it is. Other errors are filelock.ErrTimeout, vfs.ErrTooLarge, and those of a full file system.
func (f *File) Update(ctx context.Context, change func(d *Dict) (changed bool, err error)) (err error) {
	perm := f.Perm
	if st, err := f.FS.Stat(f.Path); err == nil {
		perm = vfs.Perm{Mode: st.Perm, GID: int(st.GID)}
	}
	lock, err := f.Locks.Dotlock(ctx, f.Path, filelock.DotlockOptions{Timeout: lockTimeout, Stale: lockStale, Suffix: ".lock", Perm: perm})
	if err != nil {
		return fmt.Errorf("filedict: lock %s: %w", f.Path, err)
	}
	changed := false
	d, err := f.Read()
	if err == nil {
		changed, err = change(d)
	}
	if err == nil && changed {
		err = f.write(lock.File, d)
	}
	if err != nil || !changed {
		return errors.Join(err, lock.Release())
	}
	if err := lock.Replace(); err != nil {
		return fmt.Errorf("filedict: replace %s: %w", f.Path, err)
	}
	return nil
}

func (f *File) write(to vfs.WritableFile, d *Dict) error {
	b := d.Append(nil)
	if int64(len(b)) > f.max() {
		return fmt.Errorf("filedict: %s would be larger than %d bytes: %w", f.Path, f.max(), vfs.ErrTooLarge)
	}
	if len(b) > 0 {
		if _, err := to.Write(b); err != nil {
			return fmt.Errorf("filedict: write %s: %w", f.Path, err)
		}
	}
	if !f.Fsync {
		return nil
	}
	if err := to.Sync(); err != nil {
		return fmt.Errorf("filedict: write %s: %w", f.Path, err)
	}
	return nil
}
