package mdbox

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"time"

	"github.com/roostmail/roost/mdbox/cache"
	"github.com/roostmail/roost/mdbox/index"
	"github.com/roostmail/roost/mdbox/translog"
	"github.com/roostmail/roost/mdbox/vfs"
)

const (
	cacheName       = "dovecot.index.cache"
	cacheRecordSize = 4
)

// describer computes, while messages are being saved, the values that the mailbox's cache keeps of them. nil: it keeps none.
type describer struct {
	d     *cache.Describer
	saved int64
}

// describer finds out which fields the mailbox caches of new messages. It is only a hint: the cache may be another one by
// the time that the values are written.
func (b *Mailbox) describer(now time.Time) *describer {
	w := b.store.options.Write
	if w.Cache.Off() {
		return nil
	}
	b.mu.Lock()
	s := b.index.State()
	id, e := s.Header().IndexID(), s.Ext(extCache)
	o := cache.DescribeOptions{Policy: &w.Cache, Parser: w.Parser, AsStored: true,
		HasVSize: hasVSize(s), Saved: now.Unix()}
	seq := uint32(0)
	if e != nil {
		seq = e.ResetID
	}
	var fields []cache.Field
	if b.cacheFieldsOf == (cache.Identity{IndexID: id, ResetID: seq}) {
		fields = b.cacheFields
	}
	b.mu.Unlock()
	if fields == nil {
		fields = b.readCacheFields(id, seq)
	}
	if o.Fields = w.Cache.SaveFields(fields); len(o.Fields) == 0 {
		return nil
	}
	return &describer{cache.NewDescriber(o), o.Saved}
}

// readCacheFields returns the fields of a cache file, or if there is none those that it will have first.
func (b *Mailbox) readCacheFields(id, seq uint32) []cache.Field {
	fields := b.store.options.Write.Cache.Initial()
	if f, err := b.store.options.Cache.Open(b.cacheFile, id, seq); err == nil {
		if read, err := f.ReadFields(); err == nil {
			fields = read
		}
		f.Close()
	}
	return fields
}

// next returns what the next message, of about size bytes, is written to, as it is stored. nil: nothing.
func (d *describer) next(received int64, size uint64) io.Writer {
	if d == nil {
		return nil
	}
	d.d.Next(received, d.saved, size)
	return d.d
}

// values returns those of the message that was written.
func (d *describer) values() []cache.FieldValue {
	if d == nil {
		return nil
	}
	return d.d.Values()
}

// release ends it.
func (d *describer) release() {
	if d != nil {
		d.d.Release()
	}
}

// cacheWriter is the cache of a locked mailbox, and the records that its index needs for it.
type cacheWriter struct {
	l       *lockedBox
	w       *cache.Writer
	seq     uint32
	begin   []translog.NewRecord // of a file that was made
	offsets translog.ExtRecUpdates
}

// openCache opens the cache for adding, and makes it if it is not there. Without a cache everything works as well, so what goes
// wrong is reported, and nil returned.
func (l *lockedBox) openCache(ctx context.Context) *cacheWriter {
	store := l.b.store
	cfg := store.cacheWriting(l.b)
	if cfg == nil || cfg.Policy.Off() {
		return nil
	}
	s := l.x.State()
	c := &cacheWriter{l: l, offsets: translog.NewExtRecUpdates(cacheRecordSize)}
	id := cache.Identity{IndexID: s.Header().IndexID()}
	if e := s.Ext(extCache); e != nil {
		id.ResetID = e.ResetID
		if l.b.cacheChecked != id { // records are lost in a power cut only, which this process does not outlive
			l.b.cacheChecked, id.Highest = id, highestOffset(e.Column())
		}
	}
	c.seq = id.ResetID
	var err error
	if id.ResetID != 0 {
		c.w, err = cfg.Open(ctx, l.b.cacheFile, id)
	}
	if c.w == nil && makesNewCache(err) {
		c.seq, err = cfg.Create(l.b.cacheFile, id, cfg.Policy.Initial())
		if err == nil {
			c.begin = []translog.NewRecord{external(translog.ExtIntros{c.intro(id.ResetID)}), external(translog.ExtReset{NewResetID: c.seq})}
			c.w, err = cfg.Open(ctx, l.b.cacheFile, cache.Identity{IndexID: id.IndexID, ResetID: c.seq})
		}
	}
	if err != nil {
		store.options.Report(fmt.Errorf("mdbox: cache of %s: %w", l.b.name, err))
	}
	if c.w == nil && len(c.begin) == 0 {
		return nil
	}
	return c
}

// highestOffset returns the highest offset in the column of the extension cache.
func highestOffset(column []byte) (highest uint32) {
	for ; len(column) >= cacheRecordSize; column = column[cacheRecordSize:] {
		highest = max(highest, binary.LittleEndian.Uint32(column))
	}
	return highest
}

// makesNewCache reports whether the outcome of opening a cache means that a new file takes its place.
func makesNewCache(err error) bool {
	var damage *vfs.CorruptError
	return err == nil || errors.Is(err, fs.ErrNotExist) || errors.Is(err, cache.ErrStale) || errors.As(err, &damage)
}

func (c *cacheWriter) intro(resetID uint32) translog.ExtIntro {
	in := c.l.x.Intro(extCache, 0, cacheRecordSize, cacheRecordSize)
	in.ResetID = resetID
	return in
}

// add adds the values of a message whose newest record is at prev, and returns where that is now.
func (c *cacheWriter) add(uid, prev uint32, values []cache.FieldValue) (newest uint32) {
	if c.w == nil || len(values) == 0 {
		return prev
	}
	off, err := c.w.Append(prev, values)
	if err != nil {
		c.l.b.store.options.Report(fmt.Errorf("mdbox: cache of %s, UID %d: %w", c.l.b.name, uid, err))
		return prev
	}
	if off != prev {
		c.point(uid, off)
	}
	return off
}

// point makes the index refer to the record of a message.
func (c *cacheWriter) point(uid, off uint32) {
	var b [cacheRecordSize]byte
	binary.LittleEndian.PutUint32(b[:], off)
	c.offsets.Add(uid, b[:])
}

// records ends the writing, and returns what is to be committed for it.
func (c *cacheWriter) records() []translog.NewRecord {
	if c == nil {
		return nil
	}
	if c.w == nil {
		return c.begin
	}
	if err := c.w.Close(); err != nil {
		c.l.b.store.options.Report(fmt.Errorf("mdbox: cache of %s: %w", c.l.b.name, err))
		return c.begin
	}
	c.l.b.cacheFields, c.l.b.cacheFieldsOf = c.w.Fields(), cache.Identity{IndexID: c.l.x.State().Header().IndexID(), ResetID: c.seq}
	if c.offsets.Len() == 0 {
		return c.begin
	}
	return append(c.begin, external(translog.ExtIntros{c.intro(c.seq)}), external(c.offsets))
}

// cacheRecords writes what is known of new messages, of which the first has the UID first, into the cache: descriptions of
// those that were saved, and what the cache of their origin has of copies.
func (l *lockedBox) cacheRecords(ctx context.Context, first uint32, messages []newRecord) []translog.NewRecord {
	source := sourceCache{few: len(messages) <= fewMessages}
	defer source.close()
	values := make([][]cache.FieldValue, len(messages))
	known := false
	for i, m := range messages {
		switch {
		case m.cached != nil:
			values[i] = m.cached
		case m.source != nil:
			values[i] = source.values(m.source)
		}
		known = known || len(values[i]) > 0
	}
	if !known {
		return nil
	}
	c := l.openCache(ctx)
	if c == nil {
		return nil
	}
	for i, m := range messages {
		if m.source != nil && c.w != nil {
			values[i] = l.b.store.options.Write.Cache.CopyValues(values[i], c.w.Fields(), l.b.store.now().Unix())
		}
		c.add(first+uint32(i), 0, values[i])
	}
	return c.records()
}

// cacheWriting returns how the cache of a mailbox is written.
func (s *Store) cacheWriting(b *Mailbox) *cache.WriteConfig {
	w := s.options.Write
	if w == nil {
		return nil
	}
	return &cache.WriteConfig{FS: s.options.FS, Lock: s.locks, Policy: w.Cache, Perm: s.permOf(b.dir), Sync: w.Fsync == index.FsyncAlways, Now: s.now}
}
