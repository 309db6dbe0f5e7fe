package cache

import (
	"encoding/binary"
	"io"

	"github.com/roostmail/roost/mdbox/vfs"
)

// merger makes one record of all those of a message, with the fields that are kept.
type merger struct {
	file   vfs.File
	size   int64
	cfg    *WriteConfig
	fields []Field
	kept   []Field // of the new file
	number []int   // by old field number: the new one, -1 = dropped

	window []byte // a piece of the file, from start on
	start  int64
	at     []int // by old field number: where its value is in out, 0 = not yet
	out    []byte
}

// newMerger decides which fields of the old file are kept, and with which decision.
func newMerger(old *Writer, drops func(*Field, *Policy) (Decision, bool)) *merger {
	m := &merger{file: old.file, size: old.size, cfg: old.cfg, fields: old.fields, at: make([]int, len(old.fields)), number: make([]int, len(old.fields))}
	for i := range old.fields {
		f := old.fields[i]
		if d, ok := drops(&f, &old.cfg.Policy); ok {
			f.Decision = d
		} else if d, ok := old.cfg.Policy.forced(f.Name); ok {
			f.Decision = d
		}
		m.number[i] = -1
		if f.Decision&^DecisionForced == DecisionNo {
			continue
		}
		m.number[i] = len(m.kept)
		m.kept = append(m.kept, f)
	}
	return m
}

// merge returns the record of the message whose newest one is at off, empty if nothing is kept. isNew says that it is
// of the last week. The result is valid until the next call. A *vfs.CorruptError concerns this message only.
func (m *merger) merge(off uint32, isNew bool) ([]byte, error) {
	clear(m.at)
	m.out = RecordHeader{}.Append(m.out[:0])
	for n := 0; off != 0; n++ {
		if n == maxChain || off%4 != 0 || off < HeaderSize {
			return nil, vfs.At(vfs.Corrupt(int64(off), "offset of a cache record is a multiple of 4 from %d on, one of at most %d", HeaderSize, maxChain), m.file.Name(), 0)
		}
		prev, err := m.take(off, isNew)
		if err != nil {
			return nil, vfs.At(err, m.file.Name(), int64(off))
		}
		if prev >= off {
			return nil, vfs.At(vfs.Corrupt(int64(off), "older cache record lies before the newer one"), m.file.Name(), 0)
		}
		off = prev
	}
	if len(m.out) == recordHeaderSize || len(m.out) > m.cfg.maxRecordSize() {
		return nil, nil
	}
	binary.LittleEndian.PutUint32(m.out[4:], uint32(len(m.out)))
	return m.out, nil
}

// take adds the values of the record at off.
func (m *merger) take(off uint32, isNew bool) (prev uint32, err error) {
	b, err := m.bytes(int64(off), recordHeaderSize)
	if err != nil {
		return 0, err
	}
	h, err := DecodeRecordHeader(b)
	if err != nil {
		return 0, err
	}
	if b, err = m.bytes(int64(off), int(h.Size)); err != nil {
		return 0, err
	}
	for b = b[recordHeaderSize:]; len(b) > 0; {
		v, n, err := NextValue(b, m.fields)
		if err != nil {
			if unknown, ok := err.(unknownField); ok {
				err = vfs.Corrupt(0, "field number %d is below %d", unknown.number, len(m.fields))
			}
			return 0, err
		}
		b = b[n:]
		m.value(v, isNew)
	}
	return h.Prev, nil
}

// value adds one value: the first of a field counts, and those of a bitmask are ORed.
func (m *merger) value(v Value, isNew bool) {
	n := m.number[v.Number]
	if n < 0 {
		return
	}
	if d := m.kept[n].Decision &^ DecisionForced; d == DecisionTemp && !isNew {
		return
	}
	at := m.at[v.Number]
	if at == 0 {
		m.at[v.Number] = len(m.out) + 4
		v.Number = uint32(n)
		m.out = v.Append(m.out, m.kept)
		return
	}
	if m.kept[n].Type == Bitmask {
		for i, c := range v.Data {
			m.out[at+i] |= c
		}
	}
}

const mergeWindow = 128 << 10

// bytes returns n bytes of the old file. They are valid until the next call.
func (m *merger) bytes(off int64, n int) ([]byte, error) {
	if off > m.size || int64(n) > m.size-off {
		return nil, vfs.Corrupt(0, "cache record lies inside the file")
	}
	if off >= m.start && off+int64(n) <= m.start+int64(len(m.window)) {
		return m.window[off-m.start:][:n], nil
	}
	want := int(min(int64(max(n, mergeWindow)), m.size-off))
	if cap(m.window) < want {
		m.window = make([]byte, want)
	}
	m.window, m.start = m.window[:want], off
	k, err := m.file.ReadAt(m.window, off)
	if err == io.EOF {
		err = nil
	}
	m.window = m.window[:k]
	if err == nil && k < n {
		err = vfs.Corrupt(0, "cache record lies inside the file")
	}
	if err != nil {
		m.window = m.window[:0]
		return nil, err
	}
	return m.window[:n], nil
}
