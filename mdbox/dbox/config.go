package dbox

import (
	"fmt"

	"github.com/roostmail/roost/mdbox/vfs"
)

// Config says where the mail files of a store lie, and the limits of reading them.
// A zero limit means the default.
type Config struct {
	FS            vfs.FS // nil: vfs.OS
	StorageDir    string // storage/ below the root, with m.N
	AltDir        string // the same below the ALT root; empty: none
	AttachmentDir string // mail_attachment_dir; empty: messages with attachments can not be read

	// MaxOpenFiles is how many m.N files stay open when no message of them is
	// being read. Default 64.
	MaxOpenFiles int
	// MaxMessageSize bounds the physical size of a message, in bytes. It stops a
	// compressed message that never ends. Default 2 GiB.
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

// LimitError says that reading a message was refused because of a limit.
type LimitError struct {
	Setting string // field of Config
	Limit   uint64
}

func (e *LimitError) Error() string {
	return fmt.Sprintf("dbox: message exceeds %s = %d", e.Setting, e.Limit)
}
