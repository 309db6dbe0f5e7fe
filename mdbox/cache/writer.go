package cache

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/roostmail/roost/mdbox/filelock"
	"github.com/roostmail/roost/mdbox/vfs"
)

// Writer adds to a cache file, which it holds locked. It is for one goroutine, and short-lived: everything is
// collected in memory, and written by Close.
//
// Protocol (dovecot src/lib-index/mail-cache-transaction.c): the caller holds the log lock of the mailbox, and has
// brought its state up to date under it. It takes the Writer, appends records, and closes it. Only if that succeeds
// it commits the offsets to the log, in the extension `cache` with the reset_id the Writer was taken with, before it
// releases the log lock. Records that are not referred to are garbage, which the next purge leaves out.
//
// Nothing that others may be reading is changed but the statistics in the header, and the decisions and times of use
// in the newest field table. So a failure at any point leaves a file that is as valid as before.
type Writer struct {
	cfg    *WriteConfig
	lock   *filelock.Log
	file   vfs.WritableFile
	header Header
	end    int64  // size of the file when it was locked, rounded up to where records may start
	size   int64  // the same, not rounded
	table  uint32 // offset of the newest field table, 0 = none
	tables int    // how many there are

	fields []Field
	inFile int  // how many of fields that table has
	redo   bool // decisions or times of use in it are to be written again

	records []byte         // to be appended
	numbers map[string]int // of fields that were there before a value was added, by the name that the value had
	used    []int
}

// Open locks the cache file at path for adding to it. The caller holds the log lock, and closes the Writer.
//
// The error is fs.ErrNotExist if there is no file (Create makes one), ErrStale if it has another identity, a
// *vfs.CorruptError if it is damaged (Purge makes a new one), or filelock.ErrTimeout. In each case the caller goes on
// without the cache.
func (c *WriteConfig) Open(ctx context.Context, path string, id Identity) (*Writer, error) {
	l, err := c.Lock.Cache(ctx, path, c.lockTimeout())
	if err != nil {
		return nil, err
	}
	w := &Writer{cfg: c, lock: l, file: l.File, numbers: map[string]int{}}
	if err := w.load(); err != nil {
		return nil, errors.Join(err, l.Unlock())
	}
	if err := w.check(id); err != nil {
		return nil, errors.Join(err, l.Unlock())
	}
	return w, nil
}

// load reads header and fields.
func (w *Writer) load() error {
	st, err := w.file.Stat()
	if err != nil {
		return err
	}
	w.size, w.end = st.Size, (st.Size+3)&^3
	r := &window{file: w.file}
	if w.header, err = r.header(); err != nil {
		return err
	}
	w.tables, err = r.tables(w.header, func(off uint32, t FieldTable) { w.table, w.fields = off, t.Fields })
	w.inFile = len(w.fields)
	return err
}

func (w *Writer) check(id Identity) error {
	if w.header.IndexID != id.IndexID || w.header.FileSeq != id.ResetID {
		return fmt.Errorf("%w: %s: indexid %d file_seq %d, want %d %d", ErrStale, w.file.Name(),
			w.header.IndexID, w.header.FileSeq, id.IndexID, id.ResetID)
	}
	if int64(id.Highest) >= w.end {
		return vfs.At(vfs.Corrupt(w.size, "the file ends before the record at %d", id.Highest), w.file.Name(), 0)
	}
	return nil
}

// Fields returns the fields of the file, by field number, with what was changed through w. The caller must not change them.
func (w *Writer) Fields() []Field { return w.fields }

// Append adds a record with the given values for a message whose newest record is at prev (0 = it has none, or one
// of another file_seq), and returns the offset that the index is to have for it. That is prev if there is nothing to
// add: values that the configuration forbids, or that do not fit into a record, are left out.
//
// A field that the file does not have yet is added to it. A value is a use of its field: NO becomes TEMP.
//
// The error is ErrFull, or says that a value can not be one of its field; then nothing was added.
func (w *Writer) Append(prev uint32, values []FieldValue) (offset uint32, err error) {
	start := len(w.records)
	at := w.end + int64(start)
	if int64(prev) >= at || prev%4 != 0 || prev < HeaderSize {
		prev = 0 // not one of this file: its values are lost, and nothing else
	}
	w.records = RecordHeader{Prev: prev}.Append(w.records)
	used := w.used[:0]
	known := len(w.fields)
	undo := func() {
		w.records, w.fields = w.records[:start], w.fields[:known]
	}
	for i := range values {
		v := &values[i]
		n, ok := w.numbers[v.Field]
		if !ok {
			if !w.cfg.Policy.Allows(v.Field) {
				continue
			}
			if n, err = w.number(v.Field); err == nil && n < known {
				w.numbers[v.Field] = n
			}
		}
		if err == nil {
			err = w.fields[n].accepts(v.Data)
		}
		if err != nil {
			undo()
			return prev, err
		}
		before := len(w.records)
		w.records = Value{Number: uint32(n), Data: v.Data}.Append(w.records, w.fields)
		if len(w.records)-start > w.cfg.maxRecordSize() {
			w.records = w.records[:before]
			if n >= known && n == len(w.fields)-1 {
				w.fields = w.fields[:n] // not needed after all
			}
			continue
		}
		used = append(used, n)
	}
	if len(used) == 0 {
		undo()
		return prev, nil
	}
	if at+int64(len(w.records)-start)+w.tableRoom() > w.cfg.maxFileSize() {
		undo()
		return prev, fmt.Errorf("%w: %s: %d bytes", ErrFull, w.file.Name(), w.cfg.maxFileSize())
	}
	binary.LittleEndian.PutUint32(w.records[start+4:], uint32(len(w.records)-start))
	for _, n := range used {
		w.use(n)
	}
	w.used = used
	if prev == 0 {
		w.header.Records++
	} else {
		w.header.Continued++
	}
	return uint32(at), nil
}

// number returns the number of a field, which is added if it is not there.
func (w *Writer) number(name string) (int, error) {
	if i := fieldIndex(w.fields, name); i >= 0 {
		return i, nil
	}
	f, err := NewField(name)
	if err != nil {
		return 0, err
	}
	if d, ok := w.cfg.Policy.forced(name); ok {
		f.Decision = d
	}
	w.fields = append(w.fields[:len(w.fields):len(w.fields)], f)
	return len(w.fields) - 1, nil
}

// accepts checks the length of a value.
func (f *Field) accepts(data []byte) error {
	if f.fixed() && uint64(len(data)) != uint64(f.Size) {
		return fmt.Errorf("cache: %s has %d bytes, not %d", f.Name, f.Size, len(data))
	}
	return nil
}

// use notes that a value of a field is stored (dovecot src/lib-index/mail-cache-decisions.c, mail_cache_decision_add).
func (w *Writer) use(n int) {
	f := &w.fields[n]
	if f.LastUsed != 0 && f.Decision&^DecisionForced != DecisionNo {
		return // if the configuration forbade it, there would be no value
	}
	d := w.cfg.Policy.Decision(f)
	if d != DecisionNo && f.LastUsed != 0 {
		return
	}
	if d == DecisionNo {
		f.Decision = DecisionTemp
	}
	f.LastUsed = w.cfg.now()
	w.redo = w.redo || n < w.inFile
}

// Apply takes over changes that a Usage has found. Fields that the file does not have are left out.
func (w *Writer) Apply(changes []Change) {
	for _, c := range changes {
		i := fieldIndex(w.fields, c.Field)
		if i < 0 {
			continue
		}
		f := &w.fields[i]
		if c.Decision > f.Decision&^DecisionForced {
			f.Decision = c.Decision
		}
		f.LastUsed = max(f.LastUsed, c.LastUsed)
		w.redo = w.redo || i < w.inFile
	}
}

// tableRoom bounds the size of the new field table, if one is needed.
func (w *Writer) tableRoom() int64 {
	if len(w.fields) == w.inFile {
		return 0
	}
	n := int64(tableHeaderSize + 4)
	for i := range w.fields {
		n += int64(len(w.fields[i].Name)) + 1 + 10
	}
	return n
}
