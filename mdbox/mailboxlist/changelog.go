package mailboxlist

import (
	"crypto/sha1"
	"encoding/binary"
	"errors"
	"io/fs"

	"github.com/roostmail/roost/mdbox/vfs"
)

// dovecot.mailbox.log tells replication (dsync) what happened to names. Record, 24 bytes (dovecot src/lib-index/mailbox-log.h,
// struct mailbox_log_record):
//
//	off  len  field      encoding
//	  0    1  type
//	  1    3  padding    0
//	  4   16  guid       of the mailbox; for types other than ChangeDeleted the first bytes of SHA-1(name)
//	 20    4  timestamp  uint32, big-endian, UNIX time
//
// Records are appended without lock. At 4096 bytes the file becomes .log.2; nothing but this file and its predecessor is kept.
const (
	// ChangeLogName is the name of the file, below the INDEX root.
	ChangeLogName = "dovecot.mailbox.log"

	changeSize     = 24
	changeLogLimit = 4096
)

// ChangeType says what happened to a mailbox. The values are on disk.
type ChangeType uint8

// Types of changes.
const (
	ChangeDeleted      ChangeType = 1 // a mailbox and its messages
	ChangeDirDeleted   ChangeType = 2 // a name, that of a mailbox or of a parent
	ChangeRenamed      ChangeType = 3 // the name is the new one
	ChangeSubscribed   ChangeType = 4
	ChangeUnsubscribed ChangeType = 5
	ChangeDirCreated   ChangeType = 6
)

// Change is a record of dovecot.mailbox.log.
type Change struct {
	Type ChangeType
	GUID [16]byte // of the mailbox, or NameGUID of its name
	Time uint32   // UNIX time
}

// NameGUID stands for a name, as clients know it with the namespace's prefix and separator.
func NameGUID(name string) [16]byte {
	sum := sha1.Sum([]byte(name))
	return [16]byte(sum[:16])
}

// DecodeChange decodes a record.
func DecodeChange(b []byte) (Change, error) {
	if len(b) != changeSize {
		return Change{}, vfs.Corrupt(0, "a record of the mailbox log has %d bytes", changeSize)
	}
	return Change{Type: ChangeType(b[0]), GUID: [16]byte(b[4:20]), Time: binary.BigEndian.Uint32(b[20:])}, nil
}

// Append is the inverse of DecodeChange.
func (c Change) Append(b []byte) []byte {
	b = append(b, byte(c.Type), 0, 0, 0)
	b = append(b, c.GUID[:]...)
	return binary.BigEndian.AppendUint32(b, c.Time)
}

// AppendChange adds a record to the log at path, which is made if it does not exist.
func AppendChange(fsys vfs.FS, path string, perm vfs.Perm, c Change) error {
	f, err := fsys.OpenWrite(path, vfs.Append, 0)
	if errors.Is(err, fs.ErrNotExist) {
		if f, err = perm.Create(fsys, path, vfs.Append); errors.Is(err, fs.ErrExist) {
			f, err = fsys.OpenWrite(path, vfs.Append, 0)
		}
	}
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.Write(c.Append(nil)); err != nil {
		// A part of a record would put all that follow out of step.
		if st, e := f.Stat(); e == nil && st.Size%changeSize != 0 {
			_ = f.Truncate(st.Size - st.Size%changeSize)
		}
		return err
	}
	if st, err := f.Stat(); err != nil || st.Size < changeLogLimit {
		return err
	}
	if err := fsys.Rename(path, path+".2"); err != nil && !errors.Is(err, fs.ErrNotExist) { // or rotated by somebody else
		return err
	}
	return nil
}
