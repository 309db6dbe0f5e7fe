package cache

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Close writes what was collected and releases the lock. If it fails, no offset that Append has returned may be used.
func (w *Writer) Close() error {
	err := w.flush()
	if err != nil {
		err = fmt.Errorf("cache: %s: write: %w", w.file.Name(), err)
	}
	return errors.Join(err, w.lock.Unlock())
}

// PurgeNeed returns why the file should be purged, or "" if it need not, with what was appended. messages is their
// number in the index, dayStamp that of its header (dovecot src/lib-index/mail-cache.c, mail_cache_update_need_purge).
func (w *Writer) PurgeNeed(messages int, dayStamp uint32) string {
	return w.cfg.purgeNeed(w.header, w.end+int64(len(w.records)), w.tables, w.fields, messages, dayStamp)
}

// Discard releases the lock without writing anything.
func (w *Writer) Discard() error { return w.lock.Unlock() }

// flush writes records, then a new field table, which makes them readable, then what is overwritten in place. The
// offsets of the records are promised, so that the table stands behind them.
func (w *Writer) flush() error {
	grown := len(w.fields) > w.inFile
	if len(w.records) == 0 && !w.redo {
		return nil // fields without values are not worth a table
	}
	if len(w.records) > 0 {
		if err := w.append(grown); err != nil {
			return err
		}
	}
	if w.redo && (!grown || len(w.records) == 0) {
		if err := w.overwriteTable(); err != nil {
			return err
		}
	}
	if len(w.records) > 0 {
		// With the encoded offset of the first table, which append has changed if there was none.
		if err := w.writeAt(w.header.Append(nil), 0); err != nil {
			return err
		}
	}
	if w.cfg.Sync {
		return w.file.Sync()
	}
	return nil
}

// append writes the records at the end of the file, with a new field table behind them if the fields have grown, and links that.
func (w *Writer) append(grown bool) error {
	b := make([]byte, w.end-w.size, int64(len(w.records))+w.end-w.size+w.tableRoom())
	b = append(b, w.records...)
	table := w.end + int64(len(w.records))
	if grown {
		b = FieldTable{Fields: w.fields}.Append(b)
	}
	if err := w.writeAt(b, w.size); err != nil {
		// Half a record must not stay: Dovecot appends at the end of the file, wherever that is.
		return errors.Join(err, w.file.Truncate(w.size))
	}
	if !grown {
		return nil
	}
	if w.cfg.Sync {
		if err := w.file.Sync(); err != nil {
			return err
		}
	}
	link := int64(headerTableOffset)
	if w.table != 0 {
		link = int64(w.table)
	} else {
		w.header.FirstTable = uint32(table)
	}
	if err := w.writeAt(appendOffset(nil, uint32(table)), link); err != nil {
		return err
	}
	w.table, w.inFile = uint32(table), len(w.fields)
	w.tables++
	return nil
}

// overwriteTable writes the times of use and decisions of the newest table in the file.
func (w *Writer) overwriteTable() error {
	used := make([]byte, 0, 4*w.inFile)
	decisions := make([]byte, 0, w.inFile)
	for i := range w.fields[:w.inFile] {
		used = binary.LittleEndian.AppendUint32(used, w.fields[i].LastUsed)
		decisions = append(decisions, byte(w.fields[i].Decision))
	}
	if err := w.writeAt(used, int64(w.table)+tableHeaderSize); err != nil {
		return err
	}
	return w.writeAt(decisions, int64(w.table)+tableHeaderSize+9*int64(w.inFile))
}

func (w *Writer) writeAt(b []byte, off int64) error {
	_, err := w.file.WriteAt(b, off)
	return err
}
