package cache

import (
	"encoding/binary"
	"errors"
	"io"
	"slices"
	"strings"

	"github.com/roostmail/roost/mdbox/vfs"
)

// maxChain bounds the records of one message.
const maxChain = 10_000

// Reader looks up what a cache file knows about one message after the other. It
// is for one goroutine. Everything it returns is valid until the next Load, and
// must not be changed.
type Reader struct {
	file    *File
	asked   []string // the caller's headers
	headers []string // wanted: those without duplicates
	sparse  bool     // see NewSparseReader

	fields []Field // the table that slots refers to
	slots  []int16 // by field number: the slot of its values, -1 = not wanted

	values [][]byte // by slot: known fields, then wanted headers
	at     []uint32 // by slot: offset in the file of the field its value is from
	loaded []uint32 // by slot: the generation its value is of
	gen    uint32
	flags  uint32 // all values of fieldFlags, ORed

	block    []byte // the block that was used last
	blockNo  uint32
	scratch  []byte // for records across blocks, and of sparse reading
	window   []byte // the part of scratch that was read last; only when sparse
	windowAt uint32 // where it is from
	occ      []Occurrence
	parts    []Part
}

// NewReader returns a Reader for messages of f. headers are the names of wanted
// header fields, without colon, in any case; duplicates count once.
//
// A Reader that is given back with Release saves the next one for the same headers most of that work.
func (f *File) NewReader(headers ...string) *Reader {
	fields := f.Fields()
	if r := f.idleReader(headers); r != nil {
		if len(r.fields) != len(fields) || len(fields) > 0 && &r.fields[0] != &fields[0] {
			r.resolve(fields)
		}
		return r
	}
	r := &Reader{file: f, asked: slices.Clone(headers)}
	for _, h := range headers {
		if !containsFold(r.headers, h) {
			r.headers = append(r.headers, h)
		}
	}
	n := int(knownFields) + len(r.headers)
	r.values = make([][]byte, n)
	r.at = make([]uint32, n)
	r.loaded = make([]uint32, n)
	r.resolve(fields)
	return r
}

// NewSparseReader is NewReader for a few messages: what is not in memory is read record by record, and not kept, as
// the messages around will hardly be asked for.
func (f *File) NewSparseReader(headers ...string) *Reader {
	r := f.NewReader(headers...)
	r.sparse = true
	return r
}

// idleReader takes the Reader that was released, if it is one for these headers.
func (f *File) idleReader(headers []string) *Reader {
	f.mu.Lock()
	defer f.mu.Unlock()
	r := f.idle
	if r == nil || !slices.Equal(r.asked, headers) {
		return nil
	}
	f.idle = nil
	return r
}

// maxIdleScratch is how many bytes of its own a released Reader keeps.
const maxIdleScratch = 32 << 10

// Release gives the Reader back, for the next NewReader of its file. Neither it nor what it returned is used any more.
func (r *Reader) Release() {
	r.clear()
	clear(r.values) // they are of blocks, which need not stay
	clear(r.occ[:cap(r.occ)])
	r.block, r.blockNo, r.sparse = nil, 0, false
	if cap(r.scratch) > maxIdleScratch {
		r.scratch = nil
	}
	r.file.mu.Lock()
	defer r.file.mu.Unlock()
	r.file.idle = r
}

func containsFold(list []string, s string) bool {
	for _, l := range list {
		if strings.EqualFold(l, s) {
			return true
		}
	}
	return false
}

// resolve finds the slot of each field of a table. A field with a known name but
// another type is left out: nothing of it is cached for us.
func (r *Reader) resolve(fields []Field) {
	r.fields = fields
	r.slots = make([]int16, len(fields))
	for i := range fields {
		r.slots[i] = int16(r.slotOf(&fields[i]))
	}
}

func (r *Reader) slotOf(f *Field) int {
	for i := range knownTable {
		k := &knownTable[i]
		if strings.EqualFold(f.Name, k.name) {
			if f.Type == k.typ && (f.Size == k.size || !f.fixed()) {
				return i
			}
			return -1
		}
	}
	if f.Type != HeaderOf || len(f.Name) <= len(headerPrefix) || !strings.EqualFold(f.Name[:len(headerPrefix)], headerPrefix) {
		return -1
	}
	for i, h := range r.headers {
		if strings.EqualFold(f.Name[len(headerPrefix):], h) {
			return int(knownFields) + i
		}
	}
	return -1
}

// Load makes the message whose newest record is at offset (0 = it has none) the
// current one. On an error nothing of it is cached: a *vfs.CorruptError is worth
// a note, others are those of reading the file.
func (r *Reader) Load(offset uint32) error {
	r.clear()
	err := r.load(offset)
	if err != nil {
		r.clear()
	}
	return err
}

// clear forgets the current message.
func (r *Reader) clear() {
	r.gen++
	if r.gen == 0 { // wrapped: no slot may look loaded
		clear(r.loaded)
		r.gen = 1
	}
	r.flags = 0
	r.scratch, r.window, r.windowAt = r.scratch[:0], nil, 0
}

// load walks the chain of records. Each lies before the one that refers to it,
// so the walk ends.
func (r *Reader) load(offset uint32) error {
	for n := 0; offset != 0; n++ {
		if n == maxChain {
			return r.corrupt(offset, "message has at most %d cache records", maxChain)
		}
		if offset%4 != 0 || offset < HeaderSize {
			return r.corrupt(offset, "offset of a cache record is a multiple of 4 from %d on", HeaderSize)
		}
		rec, prev, err := r.record(offset)
		if err != nil {
			return err
		}
		if prev >= offset {
			return r.corrupt(offset, "older cache record lies before the newer one")
		}
		if err := r.take(rec, offset); err != nil {
			return err
		}
		offset = prev
	}
	return nil
}

func (r *Reader) corrupt(off uint32, rule string, args ...any) error {
	return vfs.At(vfs.Corrupt(int64(off), rule, args...), r.file.Path(), 0)
}

// take stores the values of the record at off that are wanted. Of several values
// of a field the first counts.
func (r *Reader) take(rec []byte, off uint32) error {
	for pos := recordHeaderSize; pos < len(rec); {
		v, n, err := NextValue(rec[pos:], r.fields)
		if err != nil {
			if err = r.grown(err); err == nil {
				continue
			}
			return vfs.At(err, r.file.Path(), int64(off)+int64(pos))
		}
		at := off + uint32(pos)
		pos += n
		slot := r.slots[v.Number]
		if slot < 0 {
			continue
		}
		if known(slot) == fieldFlags {
			r.flags |= binary.LittleEndian.Uint32(v.Data)
		}
		if r.loaded[slot] != r.gen {
			r.loaded[slot] = r.gen
			r.values[slot] = v.Data
			r.at[slot] = at
		}
	}
	return nil
}

// grown reads the field table again if err is a field number that it lacks. The
// error is nil if it has it now.
func (r *Reader) grown(err error) error {
	var unknown unknownField
	if !errors.As(err, &unknown) {
		return err
	}
	if _, err := r.file.refreshFields(); err != nil {
		return err
	}
	fields := r.file.Fields()
	if uint64(unknown.number) >= uint64(len(fields)) {
		return vfs.Corrupt(0, "field number %d is below %d", unknown.number, len(fields))
	}
	r.resolve(fields)
	return nil
}

// record returns the record at off, with its header, and the offset of the older one.
func (r *Reader) record(off uint32) (rec []byte, prev uint32, err error) {
	head, err := r.bytes(off, recordHeaderSize)
	if err != nil {
		return nil, 0, err
	}
	h, err := DecodeRecordHeader(head)
	if err != nil {
		return nil, 0, vfs.At(err, r.file.Path(), int64(off))
	}
	rec, err = r.bytes(off, int(h.Size))
	return rec, h.Prev, err
}

// bytes returns n bytes of the file from off on.
func (r *Reader) bytes(off uint32, n int) ([]byte, error) {
	number, start := off/blockSize, int(off%blockSize)
	if number == r.blockNo && start+n <= len(r.block) {
		return r.block[start : start+n], nil
	}
	if r.sparse && cap(r.scratch) <= maxSparse {
		return r.apart(off, n)
	}
	if start+n <= blockSize {
		data, err := r.file.files.block(r.file, number, start+n)
		if err != nil {
			return nil, err
		}
		r.block, r.blockNo = data, number
		return data[start : start+n], nil
	}
	return r.across(number, start, n)
}

const (
	// windowSize is how many bytes sparse reading reads at once: most records have less.
	windowSize = 4 << 10
	// maxSparse is how many bytes of one message are read like that. One with more has very many records.
	maxSparse = 1 << 20
)

// apart is bytes of a sparse Reader, for which no block is read.
func (r *Reader) apart(off uint32, n int) ([]byte, error) {
	if at := int64(off) - int64(r.windowAt); at >= 0 && at+int64(n) <= int64(len(r.window)) {
		return r.window[at : at+int64(n)], nil
	}
	if data := r.file.files.known(r.file, off/blockSize); int(off%blockSize)+n <= len(data) {
		r.block, r.blockNo = data, off/blockSize
		return data[off%blockSize:][:n], nil
	}
	size := max(n, windowSize)
	r.reserve(size)
	first := len(r.scratch)
	got, err := r.file.file.ReadAt(r.scratch[first:first+size], int64(off))
	if err != nil && err != io.EOF {
		return nil, err
	}
	if got < n {
		return nil, vfs.At(vfs.Corrupt(int64(off)+int64(n), "cache record lies inside the file"), r.file.Path(), 0)
	}
	r.scratch = r.scratch[:first+got]
	r.window, r.windowAt = r.scratch[first:], off
	return r.window[:n:n], nil
}

// reserve makes room for n bytes in scratch. What is in there stays valid.
func (r *Reader) reserve(n int) {
	if cap(r.scratch)-len(r.scratch) < n {
		r.scratch = make([]byte, 0, max(n, 2*cap(r.scratch)))
	}
}

// across returns n bytes that lie in two or more blocks, put together in memory of
// the Reader. What an earlier call returned stays valid.
func (r *Reader) across(number uint32, start, n int) ([]byte, error) {
	r.reserve(n)
	first := len(r.scratch)
	for n > 0 {
		part := min(n, blockSize-start)
		data, err := r.file.files.block(r.file, number, start+part)
		if err != nil {
			return nil, err
		}
		r.scratch = append(r.scratch, data[start:start+part]...)
		n -= part
		number++
		start = 0
	}
	return r.scratch[first:len(r.scratch):len(r.scratch)], nil
}
