package mdbox

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"

	"github.com/roostmail/roost/mdbox/cache"
	"github.com/roostmail/roost/mdbox/dbox"
	"github.com/roostmail/roost/mdbox/index"
	"github.com/roostmail/roost/mdbox/mapindex"
	"github.com/roostmail/roost/mdbox/vfs"
)

// extCache is the extension with the offset of each message's newest record in
// dovecot.index.cache. Its reset_id is the file_seq of the cache file.
const extCache = "cache"

// batchSize is how many messages are looked up in the index at once, while it is locked.
const batchSize = 256

// fewMessages is up to how many messages are too few for reading large blocks of the cache.
const fewMessages = 8

// record is what the index knows about a message.
type record struct {
	uid         uint32
	mapUID      mapindex.UID
	saveDate    uint32
	guid        dbox.GUID // zero: not known
	cacheOffset uint32    // 0: nothing cached
	vsize       uint32
	hasVSize    bool
}

// Messages walks over messages of a mailbox. It is for one goroutine:
//
//	ms, err := mailbox.Messages(uids, "From", "Subject")
//	…
//	defer ms.Close()
//	for ms.Next() {
//		m := ms.Message()
//		…
//	}
//	err = ms.Err()
type Messages struct {
	b    *Mailbox
	guid [16]byte // of the mailbox when the walk began
	uids []uint32 // not looked up yet

	batch          []record
	next           int    // in batch
	mapUIDValidity uint32 // that the mailbox's header refers to
	message        Message
	err            error

	need      *need
	few       bool // not much is wanted: the cache is read sparsely
	indexID   uint32
	cacheSeq  uint32 // file_seq of the cache that the batch's offsets are of
	noCache   uint32 // the cacheSeq of which there is no usable file
	cacheFile *cache.File
	cached    *cache.Reader // nil: there is no cache
	week      cache.Week
	hasVSize  bool
	learner   *learner // nil: the messages are not for a client
}

// Messages brings the mailbox up to date and returns its messages with the given
// UIDs, in that order. UIDs that do not exist are left out. headers are the
// names of the header fields that Message.AppendFields returns, in any case. The
// caller closes the result; uids must not be changed until then.
func (b *Mailbox) Messages(uids []uint32, headers ...string) (*Messages, error) {
	ms := &Messages{b: b, uids: uids, need: b.need(headers), few: len(uids) <= fewMessages, batch: make([]record, 0, min(batchSize, len(uids)))}
	ms.message.ms = ms
	ms.message.fields = ms.need.fields
	b.mu.Lock()
	defer b.mu.Unlock()
	s, err := b.refresh()
	if err != nil {
		return nil, err
	}
	ms.guid = b.guid(s)
	return ms, nil
}

// MailboxGUID returns the GUID of the mailbox that the messages are of. If another takes its
// name during the walk, that ends with ErrNotFound.
func (ms *Messages) MailboxGUID() [16]byte { return ms.guid }

// Next goes to the next message, and returns false when there is none or Err is set.
func (ms *Messages) Next() bool {
	ms.message.close()
	if l := ms.learner; l != nil && l.bytes > learnBytes {
		l.flush()
	}
	for ms.next == len(ms.batch) {
		if len(ms.uids) == 0 || ms.err != nil {
			return false
		}
		ms.load()
	}
	ms.message.start(&ms.batch[ms.next])
	ms.next++
	return true
}

// Message returns the current message. It is valid until the next call of Next or Close.
func (ms *Messages) Message() *Message { return &ms.message }

// Err returns the error that ended the walk, or nil. Errors of single messages do not end it.
func (ms *Messages) Err() error { return ms.err }

// Close gives everything back.
func (ms *Messages) Close() {
	ms.message.close()
	ms.learner.flush()
	ms.learner = nil
	ms.closeCache()
	if ms.b.files != ms.b.store.files {
		ms.b.files.CloseIdle()
	}
	ms.uids, ms.batch, ms.next = nil, nil, 0
}

// load looks up the next batch in the index.
func (ms *Messages) load() {
	n := min(batchSize, len(ms.uids))
	uids := ms.uids[:n]
	ms.uids = ms.uids[n:]
	ms.batch, ms.next = ms.batch[:0], 0
	ms.b.mu.Lock()
	s := ms.b.index.State()
	if ms.b.guid(s) != ms.guid {
		ms.err = ErrNotFound
		ms.b.mu.Unlock()
		return
	}
	ms.mapUIDValidity = ms.b.header(s).MapUIDValidity
	ms.indexID, ms.week, ms.hasVSize = s.Header().IndexID(), weekOf(s), hasVSize(s)
	seq := uint32(0)
	if e := s.Ext(extCache); e != nil {
		seq = e.ResetID
	}
	c := newRecordColumns(s)
	for i := range located(s, slices.Values(uids)) {
		ms.batch = append(ms.batch, c.record(i))
	}
	ms.b.mu.Unlock()
	if seq != ms.cacheSeq {
		ms.closeCache()
		ms.cacheSeq = seq
	}
}

func (ms *Messages) closeCache() {
	if ms.cached != nil {
		ms.cached.Release()
	}
	if ms.cacheFile != nil {
		ms.cacheFile.Close()
	}
	ms.cacheFile, ms.cached = nil, nil
}

// cache returns the reader of the cache file that the current batch refers to, or nil.
func (ms *Messages) cache() *cache.Reader {
	if ms.cached != nil || ms.cacheSeq == 0 || ms.cacheSeq == ms.noCache {
		return ms.cached
	}
	f, err := ms.b.store.options.Cache.Open(ms.b.cacheFile, ms.indexID, ms.cacheSeq)
	if err != nil {
		// The messages tell everything as well, only slower.
		ms.noCache = ms.cacheSeq
		switch {
		case errors.Is(err, cache.ErrStale):
			// It was purged after this batch was looked up, or just now: then the
			// index does not have it yet. The next batch gets the new offsets.
			ms.b.update()
		case !errors.Is(err, fs.ErrNotExist):
			ms.b.store.options.Report(fmt.Errorf("mdbox: cache of %s: %w", ms.b.name, err))
		}
		return nil
	}
	ms.cacheFile = f
	if ms.few {
		ms.cached = f.NewSparseReader(ms.need.headers...)
	} else {
		ms.cached = f.NewReader(ms.need.headers...)
	}
	return ms.cached
}

// recordColumns are the extensions that a record is made of; any may be missing.
type recordColumns struct {
	s                         *index.State
	mdbox, guid, cache, vsize *index.Ext
}

func newRecordColumns(s *index.State) recordColumns {
	return recordColumns{s: s, mdbox: s.Ext(index.ExtMdbox), guid: s.Ext(index.ExtGUID), cache: s.Ext(extCache), vsize: s.Ext(index.ExtVSize)}
}

// record decodes message i. What is missing or of another size than it should be stays zero.
func (c *recordColumns) record(i int) record {
	r := record{uid: c.s.UIDs()[i]}
	if c.mdbox != nil {
		if m, err := index.DecodeMdboxRecord(c.mdbox.Record(i)); err == nil {
			r.mapUID, r.saveDate = mapindex.UID(m.MapUID), m.SaveDate
		}
	}
	if c.guid != nil {
		r.guid, _ = index.DecodeGUID(c.guid.Record(i))
	}
	if c.cache != nil {
		r.cacheOffset, _ = decodeCacheOffset(c.cache.Record(i))
	}
	if c.vsize != nil {
		r.vsize, r.hasVSize = index.DecodeVSize(c.vsize.Record(i))
	}
	return r
}

// corruptRecord is the error of a message whose index record cannot be right.
func (ms *Messages) corruptRecord(rule string, args ...any) error {
	return vfs.At(vfs.Corrupt(0, rule, args...), filepath.Join(ms.b.Dir(), index.DefaultPrefix), 0)
}

// decodeCacheOffset decodes the record data of the extension cache: uint32, a multiple of 4 if it is right.
func decodeCacheOffset(b []byte) (uint32, bool) {
	if len(b) != 4 {
		return 0, false
	}
	return binary.LittleEndian.Uint32(b), true
}
