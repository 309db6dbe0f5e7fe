package cache

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/roostmail/roost/mdbox/vfs"
)

// purgeNeed returns why a file with these properties should be purged, or "".
func (c *WriteConfig) purgeNeed(h Header, size int64, tables int, fields []Field, messages int, dayStamp uint32) string {
	if h.MinorVersion == 0 {
		return "minor version is old"
	}
	if n := orDefault(c.PurgeTables, 4); tables > n {
		return fmt.Sprintf("%d field tables", tables)
	}
	drop := c.drops(dayStamp)
	for i := range fields {
		if d, ok := drop(&fields[i], &c.Policy); ok {
			return fmt.Sprintf("decision about %s changes to %d", fields[i].Name, d)
		}
	}
	if size > c.maxFileSize()/8*7 {
		return "file is large"
	}
	if size < orDefault(c.PurgeMinSize, 32<<10) {
		return ""
	}
	records := uint64(h.Records)
	if records == 0 || records > 2*uint64(messages) {
		records = uint64(max(messages, 1)) // old versions had something else there
	}
	if uint64(h.Continued)*100/records >= orDefault(c.PurgeContinued, 200) {
		return fmt.Sprintf("%d continued records of %d messages", h.Continued, records)
	}
	deleted := uint64(h.Deleted)
	if deleted*100/(records+deleted) >= orDefault(c.PurgeDeleted, 20) {
		return fmt.Sprintf("%d records of expunged messages, %d others", deleted, records)
	}
	return ""
}

// drops returns a function that tells whether a field's decision is to be changed, since nobody needs it, and to what
// (dovecot src/lib-index/mail-cache-purge.c, mail_cache_purge_drop_test). Ages are relative to dayStamp, the day of
// the last sync of the index, so that a mailbox nobody opens keeps its cache; 0 = nothing is dropped.
func (c *WriteConfig) drops(dayStamp uint32) func(f *Field, p *Policy) (Decision, bool) {
	unused := int64(orDefault(c.Unused, 30*day*1e9).Seconds())
	return func(f *Field, p *Policy) (Decision, bool) {
		d := p.Decision(f)
		age := int64(dayStamp) - int64(f.LastUsed)
		switch {
		case dayStamp == 0, d&DecisionForced != 0, d == DecisionNo:
			return d, false
		case age > 2*unused:
			return DecisionNo, true
		case age > unused && d == DecisionYes:
			return DecisionTemp, true
		}
		return d, false
	}
}

// PurgeInput is the state of the index under the log lock.
type PurgeInput struct {
	Identity
	UIDs     []uint32 // of all messages, ascending
	Offsets  []uint32 // of their newest records, 0 = none; len(UIDs)
	Week     Week
	DayStamp uint32
}

// PurgeResult is what the index is to have after a purge.
type PurgeResult struct {
	FileSeq uint32   // the new reset_id
	Offsets []uint32 // as in PurgeInput
	// Damage is what of the old file could not be read, and is not cached any more.
	Damage error
}

// Purge rewrites the file at path with one record per message and the fields that are still wanted, or makes one if
// there is none, or none of that identity. The caller holds the log lock, and commits after it, in an external
// transaction: ext-intro of `cache`, ext-reset to FileSeq with all data cleared, and with FileSeq as reset_id the
// offsets that are not 0. (dovecot src/lib-index/mail-cache-purge.c)
//
// On an error everything is as before.
func (c *WriteConfig) Purge(ctx context.Context, path string, in PurgeInput) (PurgeResult, error) {
	l, err := c.Lock.Cache(ctx, path, c.lockTimeout())
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return c.rewrite(path, nil, in)
	case err != nil:
		return PurgeResult{}, err
	}
	w := &Writer{cfg: c, lock: l, file: l.File, numbers: map[string]int{}}
	err = w.load()
	var damage *vfs.CorruptError
	if err != nil && !errors.As(err, &damage) {
		return PurgeResult{}, errors.Join(err, l.Unlock())
	}
	var result PurgeResult
	if damage != nil {
		w.fields = nil
	}
	if damage != nil || w.check(in.Identity) != nil {
		in.UIDs, in.Offsets = nil, make([]uint32, len(in.UIDs))
	}
	result, err = c.rewrite(path, w, in)
	if damage != nil {
		result.Damage = damage
	}
	return result, errors.Join(err, l.Unlock())
}

// rewrite writes the new file; old is nil if there is none, and has no fields if it is damaged.
func (c *WriteConfig) rewrite(path string, old *Writer, in PurgeInput) (PurgeResult, error) {
	h := Header{MinorVersion: 1, IndexID: in.IndexID, FileSeq: c.nextSeq(in.ResetID, 0)}
	fields := c.Policy.Initial()
	var m *merger
	if old != nil {
		h.FileSeq = c.nextSeq(in.ResetID, old.header.FileSeq)
		if len(old.fields) > 0 {
			m = newMerger(old, c.drops(in.DayStamp))
			fields = m.kept
		}
	}
	result := PurgeResult{FileSeq: h.FileSeq, Offsets: make([]uint32, len(in.Offsets))}
	n, err := c.newFile(path, h)
	if err != nil {
		return PurgeResult{}, err
	}
	for i, uid := range in.UIDs {
		if m == nil || in.Offsets[i] == 0 {
			continue
		}
		rec, err := m.merge(in.Offsets[i], in.Week.New(uid))
		if err != nil {
			var damage *vfs.CorruptError
			if !errors.As(err, &damage) {
				return PurgeResult{}, n.abort(err)
			}
			result.Damage = err
			continue
		}
		if len(rec) == 0 || n.size+int64(len(rec)) > c.maxFileSize()/2 {
			continue // room is left for what comes
		}
		result.Offsets[i] = uint32(n.size)
		n.header.Records++
		if err := n.write(rec); err != nil {
			return PurgeResult{}, n.abort(err)
		}
	}
	if err := n.finish(fields); err != nil {
		return PurgeResult{}, err
	}
	return result, nil
}
