package dbox

import (
	"io"

	"github.com/roostmail/roost/mdbox/vfs"
)

// CopyRaw copies a message that a Scan of src visits, as it is: stored body and metadata, with keys that are not known.
// A purge keeps messages this way. Errors are as for Save; a message that lies not fully inside its file was not visited.
func (a *Appender) CopyRaw(src *Locked, m *Scanned) (Stored, error) {
	if err := a.usable(); err != nil {
		return Stored{}, err
	}
	size := messageHeaderSize + m.End - m.Body
	i, err := a.append(size, func(t *target) error { return copyMessage(t, src.f, m.Body, m.End, m.Header.Size) })
	if err != nil {
		return Stored{}, err
	}
	st := Stored{Index: i, Offset: uint32(a.targets[i].end - size), Size: uint32(size), Physical: m.Header.Size}
	if size, ok, err := m.Metadata.hex(KeyPhysicalSize); ok && err == nil {
		st.Physical = size
	}
	st.Virtual, _, _ = m.Metadata.hex(KeyVirtualSize)
	guid, _ := m.Metadata.Get(KeyGUID)
	st.GUID = ParseGUID(guid)
	return st, nil
}

// copyMessage appends a message to t of which src has body and metadata from off up to end. size is that of the stored body.
func copyMessage(t *target, src io.ReaderAt, off, end, size uint64) error {
	d := newDraft()
	defer d.release()
	d.spill = func() (vfs.WritableFile, uint64, error) { return t.f, t.end, nil }
	if err := copyRange(d, src, off, end); err != nil {
		return err
	}
	if err := d.finish(size); err != nil {
		return err
	}
	return d.flush()
}

// copyRange copies the bytes from off up to end.
func copyRange(out io.Writer, src io.ReaderAt, off, end uint64) error {
	buf := chunkPool.Get().(*[readSize]byte)
	defer chunkPool.Put(buf)
	for off < end {
		n, err := src.ReadAt(buf[:min(readSize, end-off)], int64(off))
		if n == 0 {
			return noEOF(noNil(err))
		}
		if _, err := out.Write(buf[:n]); err != nil {
			return err
		}
		off += uint64(n)
	}
	return nil
}
