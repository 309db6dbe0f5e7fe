package mdbox

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/roostmail/roost/mdbox/dbox"
	"github.com/roostmail/roost/mdbox/index"
	"github.com/roostmail/roost/mdbox/mapindex"
	"github.com/roostmail/roost/mdbox/translog"
)

// NewMessage is a message to save.
type NewMessage struct {
	Flags    uint8     // as in package index, without private ones
	Keywords []string  // without duplicates
	Received int64     // INTERNALDATE, UNIX time; 0 = now
	Size     uint64    // about that of Body, in bytes; 0 = not known
	Body     io.Reader // with CRLF or LF line ends; read to its end
}

// Saved says where messages were saved.
type Saved struct {
	UIDValidity uint32
	UIDs        []uint32 // one for each message, ascending
}

// Append saves messages: all of them, or none. They are durable on return, as Writing.Fsync says.
//
// The bodies are read and written before any lock but that of their m.N file is taken, which nobody
// waits for. Errors: ErrNotFound, ErrReadOnly, filelock.ErrTimeout, those of a body, those of a full file
// system, and *vfs.CorruptError.
func (b *Mailbox) Append(ctx context.Context, messages []NewMessage) (*Saved, error) {
	if _, err := b.writing(); err != nil {
		return nil, err
	}
	b.store.finishInterrupted(ctx)
	a := &appending{b: b, files: b.store.files.NewAppender(b.store.newestFiles(0)), now: b.store.now()}
	saved, err := a.run(ctx, messages)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("mdbox: save in %s: %w", b.name, err), a.giveUp())
	}
	return saved, nil
}

// appending is one Append.
type appending struct {
	b     *Mailbox
	files *dbox.Appender
	now   time.Time
	mails []appendedMail
	// named: the map refers to the messages in files, which must stay.
	named bool
}

// appendedMail is a message whose body was written.
type appendedMail struct {
	NewMessage
	guid   dbox.GUID
	stored dbox.Stored
	cached *description
	mapUID mapindex.UID
}

func (a *appending) run(ctx context.Context, messages []NewMessage) (*Saved, error) {
	describe := a.b.describer(a.now)
	for _, m := range messages {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if m.Received == 0 {
			m.Received = a.now.Unix()
		}
		mail := appendedMail{NewMessage: m, guid: dbox.NewGUID()}
		body, d := describe.tee(m.Body, m.Received)
		var err error
		mail.stored, err = a.files.Save(dbox.NewMessage{Received: m.Received, GUID: mail.guid, Mailbox: a.b.dir, SizeHint: m.Size}, body)
		if err != nil {
			return nil, err
		}
		if d != nil {
			d.d.Values() // now, while nobody waits for a lock
		}
		mail.cached = d
		a.mails = append(a.mails, mail)
	}
	if err := a.files.Sync(); err != nil {
		return nil, err
	}
	return a.commit(ctx)
}

// giveUp takes back what was written, unless somebody can refer to it already.
func (a *appending) giveUp() error {
	if a.named {
		return a.files.Release()
	}
	return a.files.Abort()
}

// commit makes the written messages part of the map and of the mailbox: MAP, BOX, map, cache, mailbox, tail of the
// mailbox, tail of the map (dovecot mdbox-save.c).
func (a *appending) commit(ctx context.Context) (saved *Saved, err error) {
	err = a.b.store.withMap(ctx, func(m *lockedMap) error {
		box, err := a.b.lockSized(ctx, [16]byte{}, nil)
		if err != nil {
			return err
		}
		defer box.unlock()
		if saved, err = a.commitBoth(ctx, m, box); err == nil {
			a.b.store.report("close mail files", a.files.Release())
		}
		return err
	})
	return saved, err
}

// commitBoth changes the map and the mailbox, which are locked.
func (a *appending) commitBoth(ctx context.Context, m *lockedMap, box *lockedBox) (*Saved, error) {
	if err := box.checkMap(m.Locked); err != nil {
		return nil, err
	}
	requested, err := box.requested()
	if err != nil {
		return nil, err
	}
	if err := box.expunge(m.Locked, requested); err != nil {
		return nil, err
	}
	if err := a.b.store.nameFiles(m, a.files); err != nil {
		return nil, err
	}
	locations := make([]mapindex.Location, len(a.mails))
	for i, mail := range a.mails {
		locations[i] = mapindex.Location{FileID: uint32(a.files.FileID(mail.stored)), Offset: mail.stored.Offset, Size: mail.stored.Size}
	}
	next := mapindex.UID(m.Map().Index().State().NextUID())
	first, err := m.Append(a.now, locations)
	if err != nil {
		// What was not synced may be in the map all the same: then the messages stay for the next purge.
		_, a.named, _ = m.Map().Lookup(next)
		return nil, err
	}
	a.named = true
	for i := range a.mails {
		a.mails[i].mapUID = first + mapindex.UID(i)
	}
	messages := make([]newRecord, len(a.mails))
	for i, mail := range a.mails {
		messages[i] = newRecord{flags: mail.Flags, keywords: mail.Keywords, mapUID: mail.mapUID, guid: mail.guid, size: mail.stored.Virtual, sized: true, cached: mail.cached}
	}
	return box.add(ctx, messages, a.now)
}

// newRecord is a message that comes into a mailbox.
type newRecord struct {
	flags    uint8
	keywords []string
	mapUID   mapindex.UID
	guid     dbox.GUID
	size     uint64 // virtual, bytes
	sized    bool   // size is known
	cached   *description
	source   *copySource // of a copy
}

// add appends messages to the mailbox, durably, and moves its tail.
func (l *lockedBox) add(ctx context.Context, messages []newRecord, now time.Time) (*Saved, error) {
	s := l.x.State()
	first := s.NextUID()
	if uint64(first)+uint64(len(messages)) > 1<<32-2 {
		return nil, fmt.Errorf("mdbox: UIDs of %s are used up at %d", l.b.name, first)
	}
	saved := &Saved{UIDValidity: s.UIDValidity(), UIDs: make([]uint32, len(messages))}
	appends := make(translog.Appends, len(messages))
	mails := translog.NewExtRecUpdates(mdboxRecordSize)
	guids := translog.NewExtRecUpdates(guidRecordSize)
	sizes := translog.NewExtRecUpdates(vsizeRecordSize)
	for i, m := range messages {
		uid := first + uint32(i)
		saved.UIDs[i] = uid
		appends[i] = translog.AppendedMessage{UID: uid, Flags: m.flags & messageFlags}
		mails.Add(uid, index.MdboxRecord{MapUID: uint32(m.mapUID), SaveDate: uint32(now.Unix())}.Append(nil))
		guids.Add(uid, m.guid[:])
		if m.sized {
			sizes.Add(uid, index.AppendVSize(nil, m.size))
		}
	}
	records := []translog.NewRecord{external(appends)}
	records = append(records, l.cacheRecords(ctx, first, messages)...)
	records = append(records,
		external(translog.ExtIntros{l.x.Intro(index.ExtMdbox, 0, mdboxRecordSize, 4)}), external(mails),
		external(translog.ExtIntros{l.x.Intro(index.ExtGUID, 0, guidRecordSize, 1)}), external(guids))
	if hasVSize(s) && sizes.Len() > 0 {
		records = append(records, external(translog.ExtIntros{l.x.Intro(index.ExtVSize, 0, vsizeRecordSize, 4)}), external(sizes))
	}
	records = append(records, keywordRecords(first, messages)...)
	if day, ok := s.DayUpdate(now, first); ok {
		records = append(records, external(day))
	}
	records = append(records, l.sizeRecords(nil, sizedMessages(first, messages))...)
	if err := l.x.Commit(true, records...); err != nil {
		return nil, err
	}
	l.finish()
	return saved, nil
}

// sizedMessages returns the sizes of new messages; those after the first whose size is not known are left out.
func sizedMessages(first uint32, messages []newRecord) (sized []index.SizedMessage) {
	for i, m := range messages {
		if !m.sized {
			break
		}
		sized = append(sized, index.SizedMessage{UID: first + uint32(i), Size: m.size})
	}
	return sized
}

// Sizes of record data, bytes.
const (
	mdboxRecordSize = 8
	guidRecordSize  = 16
	vsizeRecordSize = 4
)

// keywordRecords returns the records that give new messages their keywords, one for each keyword.
func keywordRecords(first uint32, messages []newRecord) (records []translog.NewRecord) {
	ranges := map[string][]translog.UIDRange{}
	var names []string
	for i, m := range messages {
		for _, k := range m.keywords {
			if ranges[k] == nil {
				names = append(names, k)
			}
			ranges[k] = appendUID(ranges[k], first+uint32(i))
		}
	}
	for _, k := range names {
		records = append(records, external(translog.KeywordUpdate{Name: k, UIDs: ranges[k]}))
	}
	return records
}

// appendUID adds a UID above all others to ranges.
func appendUID(ranges []translog.UIDRange, uid uint32) []translog.UIDRange {
	if n := len(ranges); n > 0 && ranges[n-1].Last == uid-1 {
		ranges[n-1].Last = uid
		return ranges
	}
	return append(ranges, translog.UIDRange{First: uid, Last: uid})
}

func external(p translog.Payload) translog.NewRecord {
	return translog.NewRecord{External: true, Payload: p}
}
