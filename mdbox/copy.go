package mdbox

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/roostmail/roost/mdbox/index"
	"github.com/roostmail/roost/mdbox/vfs"
)

// CopyRequest asks for messages to be copied or moved.
type CopyRequest struct {
	Mailbox [16]byte // GUID that the source must have; zero: any
	UIDs    []uint32 // ascending; those that do not exist are ignored
	To      *Mailbox // may be the source itself, and of another store
	Move    bool
	Without Protected // flags that copies do not get
}

// Copied says what was copied.
type Copied struct {
	UIDValidity uint32   // of the destination
	Source      []uint32 // UIDs of the messages that were copied, ascending
	UIDs        []uint32 // their UIDs in the destination
}

// ErrDestination is in the chain of errors that concern the destination of a copy.
var ErrDestination = errors.New("destination of the copy")

// Copy copies messages, all or none, durably. Within a store no message is read or written: the copy refers to the same
// data (mdbox.md §6.3). A move that fails after its copies were made leaves the messages in both mailboxes.
func (b *Mailbox) Copy(ctx context.Context, r CopyRequest) (*Copied, error) {
	if r.To.store.location != b.store.location {
		return b.copyOver(ctx, r)
	}
	if some, err := b.anyOf(r.Mailbox, r.UIDs, false); err != nil || !some {
		return &Copied{}, err
	}
	return b.store.format.copyWithin(ctx, b, r)
}

// copyWithin raises the references, adds the copies, then, for a move, removes the originals and lowers the references again.
func (b *Mailbox) copyWithin(ctx context.Context, r CopyRequest) (copied *Copied, err error) {
	err = b.store.withMap(ctx, func(m *lockedMap) error {
		copied, err = b.copyLocked(ctx, m, r)
		return err
	})
	if err != nil {
		return nil, err
	}
	return copied, nil
}

func (b *Mailbox) copyLocked(ctx context.Context, m *lockedMap, r CopyRequest) (*Copied, error) {
	// Expunges need MAP, which is held: what is there now stays.
	uids, messages, err := b.sources(r, m.hasRecord)
	if err != nil {
		return nil, err
	}
	saved, err := r.To.receive(ctx, m, references{}, messages)
	if err != nil {
		return nil, fmt.Errorf("mdbox: copy to %s: %w: %w", r.To.name, ErrDestination, err)
	}
	copied := &Copied{UIDValidity: saved.UIDValidity, Source: uids, UIDs: saved.UIDs}
	if !r.Move || len(uids) == 0 {
		return copied, nil
	}
	l, err := b.lockSized(ctx, r.Mailbox, uids)
	if err != nil {
		return nil, err
	}
	defer l.unlock()
	return copied, l.expungeAll(m, uids)
}

// hasRecord refuses a message that is to be copied, but not in the map.
func (m *lockedMap) hasRecord(b *Mailbox, s *index.State, rec *record) error {
	if rec.mapUID == 0 || b.header(s).MapUIDValidity != m.Map().UIDValidity() {
		return vfs.At(vfs.Corrupt(0, "message %d has a map UID", rec.uid), b.Dir()+"/"+index.DefaultPrefix, 0)
	}
	return nil
}

// sources returns the messages to copy. check may refuse one; nil: none is refused.
func (b *Mailbox) sources(r CopyRequest, check func(*Mailbox, *index.State, *record) error) (uids []uint32, messages []newRecord, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	s, err := b.refresh()
	if err != nil {
		return nil, nil, err
	}
	if r.Mailbox != [16]byte{} && b.guid(s) != r.Mailbox {
		return nil, nil, fmt.Errorf("%w: %s is another mailbox now", ErrNotFound, b.name)
	}
	c, names, guid := newRecordColumns(s), s.Keywords(), b.guid(s)
	cacheSeq := uint32(0)
	if e := s.Ext(extCache); e != nil {
		cacheSeq = e.ResetID
	}
	for i := range located(s, slices.Values(r.UIDs)) {
		rec := c.record(i)
		if check != nil {
			if err := check(b, s, &rec); err != nil {
				return nil, nil, err
			}
		}
		uids = append(uids, rec.uid)
		messages = append(messages, newRecord{
			flags: s.Flags()[i] &^ r.Without.Flags, keywords: r.keywords(s, i, names), mapUID: rec.mapUID, guid: rec.guid,
			size: uint64(rec.vsize), sized: rec.hasVSize, source: &copySource{b, guid, rec, s.Header().IndexID(), cacheSeq},
		})
	}
	return uids, messages, nil
}

// keywords returns the keywords that the copy of message i gets.
func (r *CopyRequest) keywords(s *index.State, i int, names []string) []string {
	if r.Without.Keywords {
		return nil
	}
	return keywordNames(s, i, names)
}

// keywordNames returns the names of the keywords of message i.
func keywordNames(s *index.State, i int, names []string) (keywords []string) {
	var words [8]uint64
	for w, bits := range s.AppendKeywords(words[:0], i, s.KeywordWords()) {
		for k := w * 64; bits != 0; k, bits = k+1, bits>>1 {
			if bits&1 != 0 && k < len(names) {
				keywords = append(keywords, names[k])
			}
		}
	}
	return keywords
}

// receive adds messages to the mailbox after p has placed them.
func (b *Mailbox) receive(ctx context.Context, c change, p placer, messages []newRecord) (*Saved, error) {
	l, err := b.lockSized(ctx, [16]byte{}, nil)
	if err != nil {
		return nil, err
	}
	defer l.unlock()
	return l.receive(ctx, c, p, messages)
}

func (l *lockedBox) receive(ctx context.Context, c change, p placer, messages []newRecord) (*Saved, error) {
	if err := c.check(l); err != nil {
		return nil, err
	}
	if len(messages) == 0 {
		return &Saved{UIDValidity: l.x.State().UIDValidity()}, nil
	}
	requested, err := l.requested()
	if err != nil {
		return nil, err
	}
	if err := c.expunge(l, requested); err != nil {
		return nil, err
	}
	first, err := p.place(c, l, messages)
	if err != nil {
		return nil, err
	}
	saved, err := l.add(ctx, first, messages, l.b.store.now())
	if err != nil {
		p.takeBack(c, l, messages, first)
	}
	return saved, err
}
