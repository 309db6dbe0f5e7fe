package mdbox

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/roostmail/roost/mdbox/cache"
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
	GUID     string    // as printed, of a message of which this is a copy; "" = a new one
}

// guid returns the GUID to save: raw is its string, where that is not the number's.
func (m *NewMessage) guid() (guid dbox.GUID, raw string) {
	if m.GUID == "" {
		return dbox.NewGUID(), ""
	}
	guid = dbox.ParseGUID([]byte(m.GUID))
	if guid.String() != m.GUID && !strings.ContainsAny(m.GUID, " \r\n\x00") { // which a line of metadata or of dovecot-uidlist can not hold
		raw = m.GUID
	}
	return guid, raw
}

// Saved says where messages were saved.
type Saved struct {
	UIDValidity uint32
	UIDs        []uint32 // one for each message, ascending
	// ClaimedFirst and ClaimedNext limit the UIDs that AppendClaiming has claimed: first <= UID < next. Equal: none.
	ClaimedFirst, ClaimedNext uint32
}

// Append saves messages: all of them, or none. They are durable on return, as Writing.Fsync says.
//
// The bodies are read and written before any lock but that of their m.N file is taken, which nobody
// waits for. Errors: ErrNotFound, ErrReadOnly, filelock.ErrTimeout, those of a body, those of a full file
// system, and *vfs.CorruptError.
func (b *Mailbox) Append(ctx context.Context, messages []NewMessage) (*Saved, error) {
	return b.append(ctx, messages, false)
}

// AppendClaiming is Append by a session that has the mailbox open: in the same transaction the messages that are \Recent for the next session, those that it
// saves among them, become those of the caller, as by ClaimRecent. Of several such Appends that come into the mailbox together one claims.
func (b *Mailbox) AppendClaiming(ctx context.Context, messages []NewMessage) (*Saved, error) {
	return b.append(ctx, messages, true)
}

func (b *Mailbox) append(ctx context.Context, messages []NewMessage, claim bool) (*Saved, error) {
	if _, err := b.writing(); err != nil {
		return nil, err
	}
	a := b.appending(ctx)
	a.claim = claim
	saved, err := a.run(ctx, messages)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("mdbox: save in %s: %w", b.name, err), a.saver.abort())
	}
	return saved, nil
}

// Replace is Append of one message that takes the place of another of the same mailbox: that leaves it with the transaction in which the new one
// comes. guid is that of the mailbox, zero = any. ErrExpunged: the old one is gone already, and nothing was saved.
func (b *Mailbox) Replace(ctx context.Context, guid [16]byte, uid uint32, m NewMessage) (*Saved, error) {
	if _, err := b.writing(); err != nil {
		return nil, err
	}
	a := b.appending(ctx)
	a.guid, a.replaces = guid, uid
	saved, err := a.run(ctx, []NewMessage{m})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("mdbox: replace UID %d of %s: %w", uid, b.name, err), a.saver.abort())
	}
	return saved, nil
}

// appending is one Append.
type appending struct {
	guid     [16]byte // that the mailbox must have; zero: any
	replaces uint32   // UID of the message that goes; 0 = none
	claim    bool     // see AppendClaiming

	b     *Mailbox
	saver saver
	now   time.Time
	mails []appendedMail

	// Of commits.
	turn  chan struct{} // says that it is done, or that it leads
	leads bool          // it commits for all that wait; guarded by commits.mu
	saved *Saved
	err   error
}

func (b *Mailbox) appending(ctx context.Context) *appending {
	return &appending{b: b, saver: b.store.format.newSaver(ctx, b), now: b.store.now()}
}

// appendedMail is a message whose body was written.
type appendedMail struct {
	NewMessage
	guid   dbox.GUID
	stored dbox.Stored
	cached []cache.FieldValue
}

func (a *appending) run(ctx context.Context, messages []NewMessage) (*Saved, error) {
	if err := a.write(ctx, messages); err != nil {
		return nil, err
	}
	return a.b.commits.commit(ctx, a)
}

// write writes the messages, durably, where nobody knows them yet.
func (a *appending) write(ctx context.Context, messages []NewMessage) error {
	describe := a.b.describer(a.now)
	defer describe.release()
	origin := a.b.origin()
	for _, m := range messages {
		if err := ctx.Err(); err != nil {
			return err
		}
		if m.Received == 0 {
			m.Received = a.now.Unix()
		}
		mail := appendedMail{NewMessage: m}
		guid, raw := m.guid()
		mail.guid = guid
		var err error
		mail.stored, err = a.saver.save(dbox.NewMessage{Received: m.Received, GUID: guid, RawGUID: raw, Copied: m.GUID != "", Mailbox: origin, SizeHint: m.Size, Tee: describe.next(m.Received, m.Size)}, m.Body)
		if err != nil {
			return err
		}
		mail.cached = describe.values() // now, while nobody waits for a lock
		a.mails = append(a.mails, mail)
	}
	return a.saver.sync()
}

// records returns the messages that were written, for the mailbox.
func (a *appending) records() []newRecord {
	messages := make([]newRecord, len(a.mails))
	for i, mail := range a.mails {
		messages[i] = newRecord{flags: mail.Flags, keywords: mail.Keywords, stored: mail.stored, guid: mail.guid, size: mail.stored.Virtual, sized: true, cached: mail.cached}
	}
	return messages
}

// newRecord is a message that comes into a mailbox.
type newRecord struct {
	flags    uint8
	keywords []string
	stored   dbox.Stored  // of one that was saved
	mapUID   mapindex.UID // mdbox; set by placer.place
	guid     dbox.GUID
	size     uint64 // virtual, bytes
	sized    bool   // size is known
	cached   []cache.FieldValue
	source   *copySource // of a copy
}

// add appends messages, of which the first gets the UID first, to the mailbox, durably, and moves its tail.
func (l *lockedBox) add(ctx context.Context, first uint32, messages []newRecord, now time.Time) (*Saved, error) {
	s := l.x.State()
	if uint64(first)+uint64(len(messages)) > 1<<32-2 {
		return nil, fmt.Errorf("mdbox: UIDs of %s are used up at %d", l.b.name, first)
	}
	saved := &Saved{UIDValidity: s.UIDValidity(), UIDs: make([]uint32, len(messages))}
	appends := make(translog.Appends, len(messages))
	sizes := translog.NewExtRecUpdates(vsizeRecordSize)
	for i, m := range messages {
		uid := first + uint32(i)
		saved.UIDs[i] = uid
		appends[i] = translog.AppendedMessage{UID: uid, Flags: m.flags & messageFlags}
		if m.sized {
			sizes.Add(uid, index.AppendVSize(nil, m.size))
		}
	}
	records := []translog.NewRecord{external(appends)}
	var gone translog.ExpungeGUIDs
	if l.replaces != nil {
		records, gone = append(records, l.replaces.record), l.replaces.gone
	}
	records = append(records, l.cacheRecords(ctx, first, messages)...)
	records = append(records, l.b.store.format.records(l, first, messages, uint32(now.Unix()))...)
	if hasVSize(s) && sizes.Len() > 0 {
		records = append(records, external(translog.ExtIntros{l.x.Intro(index.ExtVSize, 0, vsizeRecordSize, 4)}), external(sizes))
	}
	records = append(records, keywordRecords(first, messages)...)
	if day, ok := s.DayUpdate(now, first); ok {
		records = append(records, external(day))
	}
	records = append(records, l.sizeRecords(gone, sizedMessages(first, messages))...)
	if next := first + uint32(len(messages)); l.claims && s.FirstRecentUID() < next { // behind the messages, as Dovecot writes what it changes in the header (dovecot mail-transaction-log.c, mail_transaction_log_append)
		saved.ClaimedFirst, saved.ClaimedNext = max(s.FirstRecentUID(), 1), next
		records = append(records, external(index.FirstRecentUIDUpdate(next)))
	}
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
