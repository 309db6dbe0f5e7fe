package dump

import (
	"bufio"
	"encoding/hex"
	"fmt"
	"io"
	"time"

	"github.com/roostmail/roost/mdbox/vfs"
)

// maxDumpBytes limits the size of a file that has to be in memory as a whole.
const maxDumpBytes = 1 << 30

// printer writes the lines of a dump. Write errors show when w is flushed.
type printer struct{ w *bufio.Writer }

// title starts a section.
func (p *printer) title(format string, args ...any) {
	fmt.Fprintf(p.w, format+"\n", args...)
}

// field writes one field: size bytes at offset off of the file.
func (p *printer) field(off int64, size int, name, format string, args ...any) {
	fmt.Fprintf(p.w, "%06x %5d  %-26s %s\n", off, size, name, fmt.Sprintf(format, args...))
}

// u32 writes a field of 4 bytes.
func (p *printer) u32(off int64, name string, v uint32) { p.field(off, 4, name, "%d", v) }

// time writes a field of 4 bytes that is a UNIX time; 0 has no date.
func (p *printer) time(off int64, name string, v uint32) {
	if v == 0 || v == 1<<32-1 {
		p.u32(off, name, v)
		return
	}
	p.field(off, 4, name, "%d  %s", v, time.Unix(int64(v), 0).UTC().Format(time.DateTime))
}

// hex writes a field as it is. Nothing is written for an empty one.
func (p *printer) hex(off int64, name string, b []byte) {
	if len(b) > 0 {
		p.field(off, len(b), name, "%s", hex.EncodeToString(b))
	}
}

// readAll returns the content of a file that is not too large for it.
func readAll(f vfs.File) ([]byte, error) {
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if st.Size > maxDumpBytes {
		return nil, fmt.Errorf("%s: %d bytes, a dump takes at most %d: %w", f.Name(), st.Size, maxDumpBytes, vfs.ErrTooLarge)
	}
	b := make([]byte, st.Size)
	n, err := f.ReadAt(b, 0)
	if err == io.EOF {
		err = nil
	}
	return b[:n], err
}
