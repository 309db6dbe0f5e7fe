package maildir

import (
	"encoding/binary"

	"github.com/roostmail/roost/mdbox/vfs"
)

// ExtHeader is the name of the extension of dovecot.index that says what was seen of the directories at the last sync.
//
// Header data, 36 bytes (dovecot src/lib-storage/index/maildir/maildir-storage.h, struct maildir_index_header), nine uint32:
//
//	off  field
//	  0  new_check_time       UNIX time, when new/ was read
//	  4  new_mtime, +8 new_mtime_nsecs
//	 12  cur_check_time
//	 16  cur_mtime, +20 cur_mtime_nsecs
//	 24  uidlist_mtime, +28 uidlist_mtime_nsecs, +32 uidlist_size
const (
	ExtHeader     = "maildir"
	extHeaderSize = 36
)

// Header is the header data of the extension.
type Header struct {
	New, Cur DirStamp
	Uidlist  FileStamp
}

// DirStamp says what a directory was like when it was read.
type DirStamp struct {
	Checked uint32 // UNIX time; 0 = never
	Mtime   Stamp
}

// FileStamp says what a file was like.
type FileStamp struct {
	Mtime Stamp
	Size  uint32
}

// Stamp is a time of modification.
type Stamp struct{ Sec, Nsec uint32 }

func stampOf(t int64) Stamp { return Stamp{Sec: uint32(t / 1e9), Nsec: uint32(t % 1e9)} }

// DecodeHeader decodes the header data; an empty one is zero.
func DecodeHeader(b []byte) (h Header, err error) {
	if len(b) == 0 {
		return h, nil
	}
	if len(b) != extHeaderSize {
		return h, vfs.Corrupt(0, "maildir: %d bytes, want %d", len(b), extHeaderSize)
	}
	for i, f := range h.fields() {
		*f = binary.LittleEndian.Uint32(b[4*i:])
	}
	return h, nil
}

// Append appends the header data to b.
func (h Header) Append(b []byte) []byte {
	for _, f := range h.fields() {
		b = binary.LittleEndian.AppendUint32(b, *f)
	}
	return b
}

func (h *Header) fields() [9]*uint32 {
	return [9]*uint32{
		&h.New.Checked, &h.New.Mtime.Sec, &h.New.Mtime.Nsec, &h.Cur.Checked, &h.Cur.Mtime.Sec, &h.Cur.Mtime.Nsec,
		&h.Uidlist.Mtime.Sec, &h.Uidlist.Mtime.Nsec, &h.Uidlist.Size,
	}
}

// unsure reports whether the directory was read so soon after its last change that another one could have the same time.
func (d DirStamp) unsure() bool { return uint64(d.Checked) <= uint64(d.Mtime.Sec)+syncSeconds }

// syncSeconds is how long a directory must have been unchanged to be trusted (MAILDIR_SYNC_SECS).
const syncSeconds = 1

// stale reports whether the directory must be read again: it has changed, or may have so within the second of its last change.
func (d DirStamp) stale(info vfs.Info, now uint32) bool {
	return d.Checked == 0 || d.Mtime != stampOf(info.Mtime) || d.unsure() && uint64(now) > uint64(d.Checked)+syncSeconds
}

// changed notes a change of our own in the directory, which info describes. Somebody else may have changed it in the same second, so
// it is read again later.
func (d *DirStamp) changed(info vfs.Info) {
	if d.Checked != 0 {
		*d = DirStamp{Checked: uint32(info.Mtime / 1e9), Mtime: stampOf(info.Mtime)}
	}
}

// differs reports whether h is worth to be written where the index has old (maildir_index_header_has_changed).
func (h Header) differs(old Header) bool {
	return h.New.Mtime != old.New.Mtime || h.Cur.Mtime != old.Cur.Mtime || h.Uidlist != old.Uidlist ||
		h.New.unsure() != old.New.unsure() || h.Cur.unsure() != old.Cur.unsure()
}
