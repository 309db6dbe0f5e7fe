package notifier

import (
	"bytes"
	"encoding/binary"
	"errors"
)

// Mask bits of an event (linux/inotify.h). They are the kernel's and never change.
const (
	Modify     uint32 = 0x0002     // a file in the directory was written
	Attrib     uint32 = 0x0004     // its metadata changed
	MovedFrom  uint32 = 0x0040     // a file was renamed away
	MovedTo    uint32 = 0x0080     // a file was renamed to this name
	Create     uint32 = 0x0100     // a file was created
	Delete     uint32 = 0x0200     // a file was deleted
	DeleteSelf uint32 = 0x0400     // the directory was deleted
	MoveSelf   uint32 = 0x0800     // the directory was renamed
	Unmount    uint32 = 0x2000     // its file system is gone
	Overflow   uint32 = 0x4000     // events were lost; the watch is -1
	Ignored    uint32 = 0x8000     // the watch was removed, its number will not occur again
	IsDir      uint32 = 0x40000000 // Name is a directory
)

// MailboxMask is what a mailbox's directory is watched for: writes to the log,
// its rotation, and the deletion or renaming of the mailbox.
const MailboxMask = Modify | Create | MovedTo | DeleteSelf | MoveSelf

const headerSize = 16

// BufferSize is a size for read buffers that always has room for an event:
// read(2) fails with EINVAL if the next one does not fit. A name has at most 255 bytes.
const BufferSize = 64 << 10

// ErrShort is returned for a buffer that ends inside of an event. The kernel never makes one.
var ErrShort = errors.New("notifier: buffer ends inside of an event")

// Event is one inotify event.
type Event struct {
	Watch  int32  // -1 in an overflow event
	Mask   uint32 // Modify, Create, …
	Cookie uint32
	Name   []byte // of the file in the directory, without NULs; nil = the directory itself. Points into the buffer
}

// Next decodes the event at the start of b, and returns what follows it.
// It must not be called with an empty b.
func Next(b []byte) (e Event, rest []byte, err error) {
	if len(b) < headerSize {
		return Event{}, nil, ErrShort
	}
	e.Watch = int32(binary.NativeEndian.Uint32(b[0:]))
	e.Mask = binary.NativeEndian.Uint32(b[4:])
	e.Cookie = binary.NativeEndian.Uint32(b[8:])
	size := binary.NativeEndian.Uint32(b[12:])
	b = b[headerSize:]
	if uint64(size) > uint64(len(b)) {
		return Event{}, nil, ErrShort
	}
	if name, _, _ := bytes.Cut(b[:size], []byte{0}); len(name) > 0 {
		e.Name = name
	}
	return e, b[size:], nil
}

// Append is the inverse of Next: it appends the event as the kernel would write it.
func (e Event) Append(b []byte) []byte {
	b = binary.NativeEndian.AppendUint32(b, uint32(e.Watch))
	b = binary.NativeEndian.AppendUint32(b, e.Mask)
	b = binary.NativeEndian.AppendUint32(b, e.Cookie)
	padded := 0
	if len(e.Name) > 0 {
		padded = len(e.Name)/headerSize*headerSize + headerSize
	}
	b = binary.NativeEndian.AppendUint32(b, uint32(padded))
	b = append(b, e.Name...)
	return append(b, make([]byte, padded-len(e.Name))...)
}

// Lost reports whether events were lost, so that everything may have changed.
func (e Event) Lost() bool { return e.Mask&Overflow != 0 }

// Concerns reports whether the event means a change of a mailbox whose log's
// name starts with prefix: it is for such a name, or for the directory itself.
func (e Event) Concerns(prefix string) bool {
	return e.Name == nil || len(e.Name) >= len(prefix) && string(e.Name[:len(prefix)]) == prefix
}

// Dirty decodes a whole buffer. It calls changed for the watch of every event
// that concerns prefix, several times perhaps, and all once if events were lost. gone tells that
// the watch has ended (the directory was deleted, or the watch removed).
func Dirty(b []byte, prefix string, changed func(watch int32, gone bool), all func()) error {
	for len(b) > 0 {
		e, rest, err := Next(b)
		if err != nil {
			return err
		}
		b = rest
		switch {
		case e.Lost():
			all()
		case e.Concerns(prefix):
			changed(e.Watch, e.Mask&(Ignored|Unmount) != 0)
		}
	}
	return nil
}
