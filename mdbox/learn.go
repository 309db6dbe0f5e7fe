package mdbox

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/roostmail/roost/mdbox/cache"
	"github.com/roostmail/roost/mdbox/filelock"
	"github.com/roostmail/roost/mdbox/index"
	"github.com/roostmail/roost/mdbox/translog"
)

const (
	// learnTimeout bounds the wait for the locks that it takes to add to a cache: who fetches does not wait for that
	// longer than reading the messages again would take.
	learnTimeout = 2 * time.Second
	// learnBytes is how much is collected before it is added, in bytes of values.
	learnBytes = 256 << 10
)

// learner collects what a client has asked for and the cache did not have, and adds it at the end of a walk, so that
// the next time nothing has to be read. It also tells the cache which fields are used, by which those that nobody needs are given up
// (package cache: Usage). Failures cost nothing but that: they are reported, those of busy locks are not.
type learner struct {
	ms      *Messages
	policy  *cache.Policy
	headers []string      // the fields of the wanted headers
	fields  []cache.Field // of the cache, when it was looked at first; nil: not yet
	used    []span
	known   map[wanting]*cache.Describer // of messages of which nothing is cached; nil: there was none
	pending []learned
	bytes   int
	sizes   []index.SizedMessage // that are noted wrong in the index or the cache, or were when they were added up
}

// wanting is what the fields to add for a message depend on, if nothing is cached of it.
type wanting struct {
	asked askedFor
	week  bool // it is of the last week
	vsize bool // Messages.hasVSize
}

// askedFor says which fields a client has asked for.
type askedFor uint8

const (
	askedHeaders askedFor = 1 << iota
	askedStructure
	askedPreview
)

// asked returns their names.
func (l *learner) asked(a askedFor) (fields []string) {
	if a&askedHeaders != 0 {
		fields = append(fields, l.headers...)
	}
	if a&askedStructure != 0 {
		fields = append(fields, "imap.bodystructure")
	}
	if a&askedPreview != 0 {
		fields = append(fields, snippetField)
	}
	return fields
}

// learned is what was learned about a message.
type learned struct {
	uid    uint32
	values []cache.FieldValue
}

// span is which messages a field was asked for of. Headers go by the one name hdr., since all of them are asked for at once.
type span struct {
	field       string
	first, last uint32 // lowest and highest UID
	unordered   bool
}

func (s *span) use(week cache.Week) use { return use{s.field, s.unordered || !week.New(s.first)} }

// Learn says that the messages are for a client, whose needs the cache of the mailbox is to follow. What is read because the cache
// does not have it is added to it, up to Close; unless the store is read-only, or its configuration wants no cache.
func (ms *Messages) Learn() {
	w := ms.b.store.options.Write
	if w == nil || w.Cache.Off() || ms.learner != nil {
		return
	}
	ms.learner = &learner{ms: ms, policy: &w.Cache, headers: ms.need.learned}
}

// uses notes that a field was asked for.
func (l *learner) uses(field string, uid uint32) {
	if l == nil {
		return
	}
	for i := range l.used {
		if s := &l.used[i]; s.field == field {
			s.unordered = s.unordered || uid < s.last
			s.first, s.last = min(s.first, uid), max(s.last, uid)
			return
		}
	}
	l.used = append(l.used, span{field: field, first: uid, last: uid})
}

// usage returns all uses.
func (l *learner) usage() *cache.Usage {
	u := new(cache.Usage)
	for i := range l.used {
		s := &l.used[i]
		names := []string{s.field}
		if s.field == allHeaders {
			names = l.headers
		}
		for _, n := range names {
			if s.unordered {
				u.Lookup(n, s.last)
				u.Lookup(n, s.first)
			} else {
				u.Lookup(n, s.first)
				u.Lookup(n, s.last)
			}
		}
	}
	return u
}

// allHeaders stands for the fields of all wanted headers.
const allHeaders = "hdr."

// describer returns what computes the values to add for a message of which asked was not all cached; nil: none are to be added.
func (l *learner) describer(m *Message, asked askedFor) *cache.Describer {
	if l.fields == nil {
		l.fields = l.policy.Initial()
		m.ms.cache()
		if m.ms.cacheFile != nil {
			if fields, err := m.ms.cacheFile.ReadFields(); err == nil {
				l.fields = fields
			}
		}
	}
	key := wanting{asked: asked, week: m.ms.week.New(m.rec.uid), vsize: m.ms.hasVSize}
	cached := m.ms.cache()
	unknown := m.rec.cacheOffset == 0 || cached == nil
	d := l.known[key]
	if d == nil || !unknown {
		has := map[string]bool{}
		if !unknown {
			values, err := cached.AppendValues(nil, m.rec.cacheOffset)
			if err != nil {
				return nil // damaged: nothing is added to that
			}
			for _, v := range values {
				has[asciiLower(v.Field)] = true
			}
			m.cacheLoaded, m.cached = false, nil // the reader has lost the message that was loaded
		}
		fields := l.policy.FetchFields(l.fields, l.asked(asked), func(f string) bool { return has[asciiLower(f)] }, m.rec.uid, m.ms.week)
		if asked == askedHeaders {
			fields = headerFields(fields)
		}
		d = cache.NewDescriber(cache.DescribeOptions{Fields: fields, Policy: l.policy, Parser: m.ms.b.store.options.Write.Parser, HasVSize: m.ms.hasVSize})
		if unknown {
			if l.known == nil {
				l.known = make(map[wanting]*cache.Describer)
			}
			l.known[key] = d
		}
	}
	if !d.Describes() {
		return nil
	}
	return d
}

// add keeps values of a message for the cache, the last one of each field.
func (l *learner) add(uid uint32, values []cache.FieldValue) {
	if n := len(l.pending); n == 0 || l.pending[n-1].uid != uid {
		l.pending = append(l.pending, learned{uid: uid})
	}
	p := &l.pending[len(l.pending)-1]
	if len(p.values) == 0 {
		p.values = slices.Grow(p.values, len(values))
	}
	known := len(p.values)
	for _, v := range values {
		if i := slices.IndexFunc(p.values[:known], func(o cache.FieldValue) bool { return strings.EqualFold(o.Field, v.Field) }); i >= 0 {
			p.values[i] = v
			continue
		}
		p.values = append(p.values, v)
		l.bytes += len(v.Data) + len(v.Field)
	}
}

// header learns from a header block with CRLF line ends, which was read since a wanted header was not cached.
func (l *learner) header(m *Message, block []byte) {
	if l == nil {
		return
	}
	d := l.describer(m, askedHeaders)
	if d == nil {
		return
	}
	d.Next(0, 0, 0)
	if _, err := d.Write(block); err == nil {
		l.add(m.rec.uid, d.Values())
	}
}

// headerFields returns those of fields that are headers.
func headerFields(fields []string) (headers []string) {
	for _, f := range fields {
		if len(f) > len(allHeaders) && equalLower([]byte(f[:len(allHeaders)]), allHeaders) {
			headers = append(headers, f)
		}
	}
	return headers
}

// value learns a field that was read alone.
func (l *learner) value(m *Message, v cache.FieldValue) {
	if l == nil || !l.policy.Allows(v.Field) {
		return
	}
	l.add(m.rec.uid, []cache.FieldValue{v})
}

// sizeField is the field of the size with CRLF line ends.
const sizeField = "size.virtual"

func sizeValue(n uint64) cache.FieldValue {
	return cache.FieldValue{Field: sizeField, Data: binary.LittleEndian.AppendUint64(nil, n)}
}

// size learns the size of a message that is noted wrong.
func (l *learner) size(m *Message, n uint64) {
	if !m.ms.hasVSize {
		l.value(m, sizeValue(n))
	}
	l.sizes = append(l.sizes, index.SizedMessage{UID: m.rec.uid, Size: n})
}

// Describe returns what the whole message is to be written to, with CRLF line ends, when it is read because
// AppendBodyStructure (structure), AppendPreview (preview) or both did not find it cached. Nil: nothing is to be learned.
func (m *Message) Describe(structure, preview bool) *Description {
	l := m.ms.learner
	if l == nil || m.ms.b.store.options.Write.Parser == nil {
		return nil
	}
	body, err := m.open()
	if err != nil {
		return nil
	}
	asked := askedFor(0)
	if structure {
		asked |= askedStructure
	}
	if preview {
		asked |= askedPreview
	}
	received, err := body.Received()
	if err != nil {
		return nil
	}
	d := l.describer(m, asked)
	if d == nil {
		return nil
	}
	d.Next(received, m.SaveDate(), body.PhysicalSize())
	return &Description{d: d, m: m, size: body.PhysicalSize()}
}

// Description is what the cache learns of a message that is read. It is valid until the next one is made.
type Description struct {
	d    *cache.Describer
	m    *Message
	size uint64 // as stored
}

// Write implements io.Writer. The error is always nil.
func (d *Description) Write(p []byte) (int, error) { return d.d.Write(p) }

// Learn ends the description, when all of the message was written. It returns the text of BODYSTRUCTURE without its outer
// parentheses, and that of PREVIEW, each if it was asked for and could be told; else nil.
func (d *Description) Learn() (structure, preview []byte) {
	// The sizes in mime.parts are those of the stored message, which the written one tells unless there are CRLFs in it.
	values := d.d.Values()
	if d.d.PhysicalSize() != d.size {
		return nil, nil
	}
	d.m.ms.learner.add(d.m.rec.uid, values)
	parsed := d.d.Parsed()
	return parsed.AnsweredStructure(), parsed.Snippet
}

// flush adds what was learned to the cache.
func (l *learner) flush() {
	if l == nil || len(l.pending)+len(l.sizes) == 0 && !l.changes() {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), learnTimeout)
	defer cancel()
	err := l.write(ctx)
	l.pending, l.bytes, l.sizes = nil, 0, nil
	if err != nil && !errors.Is(err, filelock.ErrTimeout) && ctx.Err() == nil && !errors.Is(err, ErrNotFound) && !errors.Is(err, fs.ErrPermission) {
		l.ms.b.store.options.Report(fmt.Errorf("mdbox: add to the cache of %s: %w", l.ms.b.name, err))
	}
}

// changes reports whether the uses are worth to be written: mostly they are not, which is found out without reading.
func (l *learner) changes() bool {
	f := l.ms.cacheFile
	if f == nil || len(l.used) == 0 || !l.changesIn(f.Fields()) {
		return false
	}
	fields, err := f.ReadFields()
	return err == nil && l.changesIn(fields)
}

func (l *learner) changesIn(table []cache.Field) bool {
	week, now := l.ms.week, l.now()
	if l.ms.need.quiet.Load().is(table, l.used, week, now) {
		return false
	}
	if len(l.usage().Changes(table, l.policy, week, now)) > 0 {
		return true
	}
	q := &quiet{table: table, uses: make([]use, len(l.used)), from: now, until: cache.NextOld(table, now)}
	for i := range l.used {
		q.uses[i] = l.used[i].use(week)
	}
	l.ms.need.quiet.Store(q)
	return false
}

func (l *learner) now() uint32 { return uint32(l.ms.b.store.now().Unix()) }

// write takes the locks and writes.
func (l *learner) write(ctx context.Context) error {
	lock := l.ms.b.lock
	if len(l.sizes) > 0 {
		lock = l.ms.b.lockSum
	}
	box, err := lock(ctx, l.ms.guid)
	if err != nil {
		return err
	}
	defer box.unlock()
	s := box.x.State()
	corrected := box.sizeCorrections(l.sizes)
	c := box.openCache(ctx)
	if c == nil {
		if len(corrected) == 0 {
			return nil
		}
		c = &cacheWriter{l: box}
	}
	newest := make(map[uint32]uint32, len(l.pending))
	for _, p := range l.pending {
		i, found := s.Find(p.uid)
		if !found {
			continue
		}
		prev, again := newest[p.uid]
		if !again {
			prev = box.cacheOffset(i, c.seq)
		}
		newest[p.uid] = c.add(p.uid, prev, p.values)
	}
	need := ""
	if c.w != nil {
		c.w.Apply(l.usage().Changes(c.w.Fields(), l.policy, weekOf(s), l.now()))
		need = c.w.PurgeNeed(s.Len(), s.Header().DayStamp())
	}
	if records := append(c.records(), corrected...); len(records) > 0 {
		if err := box.x.Commit(false, records...); err != nil {
			return err
		}
	}
	if need != "" {
		if err := box.purgeCache(ctx); err != nil {
			return err
		}
	}
	box.finish()
	return nil
}

// weekOf returns which messages are of the last week.
func weekOf(s *index.State) cache.Week { return cache.Week(s.Header().DayFirstUID(7)) }

// cacheOffset returns the offset of the newest cache record of message i in the file with a file_seq, 0 if it has none there.
func (l *lockedBox) cacheOffset(i int, seq uint32) uint32 {
	e := l.x.State().Ext(extCache)
	if e == nil || e.ResetID != seq {
		return 0
	}
	off, _ := decodeCacheOffset(e.Record(i))
	return off
}

// purgeCache rewrites the cache.
func (l *lockedBox) purgeCache(ctx context.Context) error {
	cfg := l.b.store.cacheWriting(l.b)
	if cfg == nil {
		return nil
	}
	s := l.x.State()
	in := cache.PurgeInput{Identity: cache.Identity{IndexID: s.Header().IndexID()}, UIDs: s.UIDs(), Offsets: make([]uint32, s.Len()),
		Week: weekOf(s), DayStamp: s.Header().DayStamp()}
	if e := s.Ext(extCache); e != nil {
		in.ResetID = e.ResetID
	}
	for i := range in.Offsets {
		in.Offsets[i] = l.cacheOffset(i, in.ResetID)
	}
	r, err := cfg.Purge(ctx, l.b.cacheFile, in)
	if err != nil {
		return err
	}
	if r.Damage != nil {
		l.b.store.options.Report(fmt.Errorf("mdbox: purge cache of %s: %w", l.b.name, r.Damage))
	}
	c := cacheWriter{l: l, seq: r.FileSeq, offsets: translog.NewExtRecUpdates(cacheRecordSize)}
	for i, off := range r.Offsets {
		if off != 0 {
			c.point(in.UIDs[i], off)
		}
	}
	records := []translog.NewRecord{external(translog.ExtIntros{c.intro(in.ResetID)}), external(translog.ExtReset{NewResetID: r.FileSeq})}
	if c.offsets.Len() > 0 {
		records = append(records, external(translog.ExtIntros{c.intro(r.FileSeq)}), external(c.offsets))
	}
	return l.x.Commit(false, records...)
}

// hasVSize reports whether the virtual sizes of messages are in the index.
func hasVSize(s *index.State) bool {
	return s.Ext(index.ExtVSize) != nil || s.Ext(index.ExtVSizeHeader) != nil
}
