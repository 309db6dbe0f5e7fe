package dbox

import (
	"fmt"
	"io/fs"
	"math"
	"time"

	"github.com/roostmail/roost/mdbox/vfs"
)

// Config says where the mail files of a store lie, how they are written, and the limits of both.
// A zero limit means the default.
type Config struct {
	FS            vfs.FS // nil: vfs.OS
	StorageDir    string // storage/ below the root, with m.N
	AltDir        string // the same below the ALT root; empty: none
	AttachmentDir string // mail_attachment_dir; empty: messages with attachments can not be read

	// AttachmentSuffix is added to the names of the attachments of the file with an id; nil: nothing is. In sdbox, where copies
	// share the metadata, each message has attachments of its own by that.
	AttachmentSuffix func(id FileID) string

	// Prefix starts the name of a mail file, before its FileID. Default "m."; the files of
	// an sdbox mailbox, one message each, have "u.".
	Prefix string

	// RotateSize is from which size on a file gets no further message (mdbox_rotate_size), in
	// bytes. Default 10 MiB, at most 4 GiB - 1, since the map has 32-bit offsets.
	RotateSize uint64
	// RotateInterval is how old a file may be to get further messages (mdbox_rotate_interval),
	// counted from the start of the local day, hour or minute; see rotateStart. 0 = any age.
	RotateInterval time.Duration
	// Preallocate reserves RotateSize for a new file (mdbox_preallocate_space).
	Preallocate bool
	// SaveCompression is how new messages are stored: Uncompressed, Gzip, LZ4 or Zstd.
	SaveCompression Compression
	// Perms returns the permissions of new files, and of StorageDir and those above it if they do not exist. It is asked when
	// something is made, and may be called by several goroutines at once. nil: vfs.Private and 0700.
	Perms func() (file vfs.Perm, dir fs.FileMode, err error)
	// DirMustExist says that StorageDir is never made: in sdbox it is that of a mailbox, which somebody else may delete or rename.
	DirMustExist bool
	Now          func() time.Time // nil: time.Now
	// Report gets what an administrator should know although saving went on: mail files with garbage at their end, or
	// that could not be opened. nil: nobody.
	Report func(error)

	// MaxOpenFiles is how many m.N files stay open when no message of them is
	// being read. Default 64.
	MaxOpenFiles int
	// MaxMessageSize bounds the physical size of a message, in bytes, also when it is saved. It
	// stops a compressed message that never ends. Default 2 GiB.
	MaxMessageSize uint64
	// MaxWindowSize bounds the memory for the history that a zstd or xz stream
	// demands, in bytes. Default 128 MiB, what the largest zstd level writes.
	MaxWindowSize uint64
	// MaxHeaderSize bounds what Message.AppendHeader appends, in bytes. Default 16 MiB.
	MaxHeaderSize int
	// MaxMetadataSize bounds a metadata block, in bytes. Default 1 MiB.
	MaxMetadataSize int
}

func (c Config) withDefaults() Config {
	if c.FS == nil {
		c.FS = vfs.OS
	}
	if c.Prefix == "" {
		c.Prefix = "m."
	}
	if c.RotateSize == 0 {
		c.RotateSize = 10 << 20
	}
	c.RotateSize = min(c.RotateSize, math.MaxUint32)
	if c.Perms == nil {
		c.Perms = func() (vfs.Perm, fs.FileMode, error) { return vfs.Private, 0o700, nil }
	}
	if c.Report == nil {
		c.Report = func(error) {}
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.MaxOpenFiles <= 0 {
		c.MaxOpenFiles = 64
	}
	if c.MaxMessageSize == 0 {
		c.MaxMessageSize = 2 << 30
	}
	if c.MaxWindowSize == 0 {
		c.MaxWindowSize = 128 << 20
	}
	if c.MaxHeaderSize <= 0 {
		c.MaxHeaderSize = 16 << 20
	}
	if c.MaxMetadataSize <= 0 {
		c.MaxMetadataSize = 1 << 20
	}
	return c
}

// LimitError says that reading or saving a message was refused because of a limit.
type LimitError struct {
	Setting string // field of Config
	Limit   uint64
}

func (e *LimitError) Error() string {
	return fmt.Sprintf("dbox: message exceeds %s = %d", e.Setting, e.Limit)
}
