package dbox

import (
	"io"
)

// CopyRaw copies a message that a Scan of src visits, as it is: stored body and metadata, with keys that are not known.
// A purge keeps messages this way. Errors are as for Save; a message that lies not fully inside its file was not visited.
func (a *Appender) CopyRaw(src *Locked, m *Scanned) (Stored, error) {
	return a.append(m.Header.Size, func(t *target) (Stored, uint64, error) {
		out := newSink(t.f, t.end)
		defer out.release()
		var zeros [messageHeaderSize]byte
		out.Write(zeros[:])
		if err := copyRange(out, src.f, m.Body, m.End); err != nil {
			return Stored{}, 0, err
		}
		end, err := out.finish(t.end, m.Header.Size)
		st := Stored{Offset: uint32(t.end), Size: uint32(end - t.end), Physical: m.Header.Size}
		if size, ok, err := m.Metadata.hex(KeyPhysicalSize); ok && err == nil {
			st.Physical = size
		}
		st.Virtual, _, _ = m.Metadata.hex(KeyVirtualSize)
		guid, _ := m.Metadata.Get(KeyGUID)
		st.GUID = ParseGUID(guid)
		return st, end, err
	})
}

// copyRange copies the bytes from off up to end.
func copyRange(out *sink, src io.ReaderAt, off, end uint64) error {
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
