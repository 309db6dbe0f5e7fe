package mdbox

import (
	"context"
	"io"

	"github.com/roostmail/roost/mdbox/dbox"
	"github.com/roostmail/roost/mdbox/index"
	"github.com/roostmail/roost/mdbox/maildir"
	"github.com/roostmail/roost/mdbox/mapindex"
	"github.com/roostmail/roost/mdbox/translog"
	"github.com/roostmail/roost/mdbox/vfs"
)

// mdbox is FormatMdbox: the index has a map UID and the GUID of each message, and every change of messages takes MAP.
type mdbox struct{}

func (mdbox) mailboxGUID(b *Mailbox, s *index.State) ([16]byte, error) {
	e := s.Ext(index.ExtMdboxHeader)
	if e == nil {
		return [16]byte{}, nil
	}
	h, err := index.DecodeMdboxHeader(e.Header())
	return h.MailboxGUID, err
}

func (mdbox) refresh(*Mailbox) error { return nil }

func (mdbox) lock(context.Context, *Mailbox) (*maildir.Locked, error) { return nil, nil }

// firstHeader makes the map, if there is none: the mailbox refers to it.
func (mdbox) firstHeader(ctx context.Context, s *Store, _ string, n *newMailbox) (ext string, header func() ([]byte, error), err error) {
	valid, err := s.mapUIDValidity(ctx)
	return index.ExtMdboxHeader, func() ([]byte, error) {
		return index.MdboxHeader{MapUIDValidity: valid, MailboxGUID: n.guid}.Append(nil), nil
	}, err
}

func (mdbox) files(b *Mailbox) *dbox.Files { return b.store.files }

func (mdbox) open(m *Message) (*dbox.Message, error) { return m.find() }

func (mdbox) change(ctx context.Context, s *Store, do func(c change) error) error {
	return s.withMap(ctx, func(m *lockedMap) error { return do(m) })
}

func (mdbox) copyWithin(ctx context.Context, b *Mailbox, r CopyRequest) (*Copied, error) {
	return b.copyWithin(ctx, r)
}

func (mdbox) records(l *lockedBox, first uint32, messages []newRecord, saved uint32) []translog.NewRecord {
	mails, guids := translog.NewExtRecUpdates(mdboxRecordSize), translog.NewExtRecUpdates(guidRecordSize)
	for i, m := range messages {
		uid := first + uint32(i)
		mails.Add(uid, index.MdboxRecord{MapUID: uint32(m.mapUID), SaveDate: saved}.Append(nil))
		guids.Add(uid, m.guid[:])
	}
	return []translog.NewRecord{
		external(translog.ExtIntros{l.x.Intro(index.ExtMdbox, 0, mdboxRecordSize, 4)}), external(mails),
		external(translog.ExtIntros{l.x.Intro(index.ExtGUID, 0, guidRecordSize, 1)}), external(guids),
	}
}

// check implements change.
func (m *lockedMap) check(l *lockedBox) error { return l.checkMap(m.Locked) }

// expunge implements change.
func (m *lockedMap) expunge(l *lockedBox, uids []uint32) error { return l.expunge(m.Locked, uids) }

// leave implements change.
func (m *lockedMap) leave(l *lockedBox, uid uint32) leaving {
	refs, gone := l.expunged([]uint32{uid})
	return leaving{record: external(gone), gone: gone, done: func(l *lockedBox) error {
		l.giveBack(m.Locked, refs)
		return nil
	}}
}

func (mdbox) newSaver(ctx context.Context, b *Mailbox) saver {
	b.store.finishInterrupted(ctx)
	return &mdboxSaver{Appender: b.store.files.NewAppender(b.store.newestFiles(0)), store: b.store, rebuilt: b.store.rebuildCount()}
}

// mdboxSaver appends messages to m.N files, which nobody else may do meanwhile, and nobody waits for.
type mdboxSaver struct {
	*dbox.Appender
	store *Store
	// rebuilt is how many times the store had been rebuilt when the saving began.
	rebuilt uint32
	// named: the map refers to the messages, which must stay.
	named bool
}

func (a *mdboxSaver) save(m dbox.NewMessage, body io.Reader) (dbox.Stored, error) {
	return a.Save(m, body)
}
func (a *mdboxSaver) sync() error    { return a.Sync() }
func (a *mdboxSaver) release() error { return a.Release() }

// abort takes back what was written, unless somebody can refer to it already.
func (a *mdboxSaver) abort() error {
	if a.named {
		return a.Release()
	}
	return a.Abort()
}

// place implements placer.
func (a *mdboxSaver) place(c change, l *lockedBox, messages []newRecord) (first uint32, err error) {
	alone := new(mdboxSavers)
	alone.add(a, len(messages))
	return alone.place(c, l, messages)
}

// takeBack implements placer.
func (a *mdboxSaver) takeBack(c change, l *lockedBox, messages []newRecord, first uint32) {
	references{}.takeBack(c, l, messages, first)
}

// mdboxSavers place the messages of several mdboxSaver together.
type mdboxSavers struct {
	references
	savers []*mdboxSaver
	counts []int // of messages
	// refused: the files of one of them can not be used, and nothing was done.
	refused bool
}

func (all *mdboxSavers) add(a *mdboxSaver, messages int) {
	all.savers, all.counts = append(all.savers, a), append(all.counts, messages)
}

// place makes the messages known to the map.
func (all *mdboxSavers) place(c change, l *lockedBox, messages []newRecord) (first uint32, err error) {
	m := c.(*lockedMap)
	all.refused = true
	for _, a := range all.savers {
		if m.Map().Header().RebuildCount != a.rebuilt {
			a.named = true // whoever rebuilt it has found the messages, and may have made records of them
			err = ErrRebuilt
		}
	}
	if err != nil {
		return 0, err
	}
	appenders := make([]*dbox.Appender, len(all.savers))
	for i, a := range all.savers {
		appenders[i] = a.Appender
	}
	if err := l.b.store.nameFiles(m, appenders...); err != nil {
		return 0, err
	}
	locations := make([]mapindex.Location, 0, len(messages))
	for i, a := range all.savers {
		for _, r := range messages[len(locations):][:all.counts[i]] {
			locations = append(locations, mapindex.Location{FileID: uint32(a.FileID(r.stored)), Offset: r.stored.Offset, Size: r.stored.Size})
		}
	}
	next := mapindex.UID(m.Map().Index().State().NextUID())
	all.refused = false
	mapUID, err := m.Append(l.b.store.now(), locations)
	named := true
	if err != nil {
		// What was not synced may be in the map all the same: then the messages stay for the next purge.
		_, named, _ = m.Map().Lookup(next)
	}
	for _, a := range all.savers {
		a.named = named
	}
	if err != nil {
		return 0, err
	}
	for i := range messages {
		messages[i].mapUID = mapUID + mapindex.UID(i)
	}
	return l.x.State().NextUID(), nil
}

// references places copies: they are one reference more to messages that the map has already.
type references struct{}

func (references) place(c change, l *lockedBox, messages []newRecord) (first uint32, err error) {
	m := c.(*lockedMap)
	refs := make([]mapindex.UID, len(messages))
	for i, r := range messages {
		refs[i] = r.mapUID
	}
	if missing, err := m.AddReferences(refs, 1); err != nil {
		return 0, err
	} else if len(missing) > 0 {
		return 0, vfs.At(vfs.Corrupt(0, "map UID %d is in the map", missing[0]), m.Map().Index().Path(), 0)
	}
	return l.x.State().NextUID(), nil
}

// takeBack gives the references back, unless the log has the messages although it could not be synced.
func (references) takeBack(c change, l *lockedBox, messages []newRecord, first uint32) {
	if _, there := l.x.State().Find(first); there {
		return
	}
	refs := make([]mapindex.UID, len(messages))
	for i, r := range messages {
		refs[i] = r.mapUID
	}
	l.giveBack(c.(*lockedMap).Locked, refs)
}
