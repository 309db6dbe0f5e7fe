package mapindex

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/roostmail/roost/mdbox/index"
	"github.com/roostmail/roost/mdbox/translog"
)

// ErrUnfinished says that the process which changed the map last did not finish: tail and head of its log
// differ while nobody holds the lock. References may be counted wrong. What has to be done about it is the caller's to know.
var ErrUnfinished = errors.New("mapindex: a change of the map was not finished")

// ErrTooManyReferences is returned for a message that would get 32768 references, which the format does not allow.
var ErrTooManyReferences = errors.New("mapindex: too many copies of one message")

// maxRefcount is the highest reference count (dovecot mdbox-map.c, mdbox_map_update_refcount).
const maxRefcount = 32767

// Locked is the map while this process holds the lock of its log: the commit lock of the whole store. It is
// for one goroutine.
//
// Each method writes its change and the tail behind it at once, so that a process that is killed leaves a map that is finished.
// What must not happen is that a message has fewer references in the map than in the mailboxes: so the map is changed before a mailbox
// gets a reference, and after it has given one back. (Dovecot moves the tail only when both are done. When a Dovecot process
// dies between the two, the next one finds tail and head different, and rebuilds the store: dovecot mdbox-map.c, mdbox_map_atomic_lock.)
type Locked struct {
	m *Map
	x *index.Locked
}

// Lock takes the lock of the map and brings it up to date. With ErrUnfinished the lock is taken all the same: the caller
// makes the references right, calls Finish, or gives up with Unlock. Other errors are those of index.Lock.
func (m *Map) Lock(ctx context.Context, w *index.Writing) (*Locked, error) {
	x, err := m.x.Lock(ctx, w)
	if err != nil {
		return nil, err
	}
	l := &Locked{m, x}
	if !x.TailIsHead() {
		return l, ErrUnfinished
	}
	return l, nil
}

// Create makes the map of a store in the directory storage, which must exist, and returns it locked. If another process is faster, it
// is that one's. Its UIDVALIDITY is the time of its creation.
func Create(ctx context.Context, storage string, o index.Options, w *index.Writing) (*Map, *Locked, error) {
	o.Dir, o.Prefix = storage, Prefix
	x, lx, err := index.Create(ctx, o, w)
	if err != nil {
		return nil, nil, err
	}
	m := &Map{x}
	l := &Locked{m, lx}
	if m.UIDValidity() != 0 {
		if !lx.TailIsHead() {
			return m, l, ErrUnfinished
		}
		return m, l, nil
	}
	if err := lx.CommitDone(true, done(index.UIDValidityUpdate(uint32(max(1, w.Now().Unix()))))); err != nil {
		return nil, nil, errors.Join(err, lx.Unlock())
	}
	return m, l, nil
}

// Map returns the map, as it is under the lock.
func (l *Locked) Map() *Map { return l.m }

// Unfinished returns the map UIDs that the unfinished changes are about, ascending.
func (l *Locked) Unfinished() ([]UID, error) {
	var uids []UID
	err := l.x.Unsynced(func(p translog.Payload) {
		switch p := p.(type) {
		case translog.Appends:
			for _, m := range p {
				uids = append(uids, UID(m.UID))
			}
		case translog.ExtAtomicIncs:
			for _, i := range p {
				uids = append(uids, UID(i.UID))
			}
		}
	}, translog.TypeAppend, translog.TypeExtAtomicInc)
	slices.Sort(uids)
	return slices.Compact(uids), err
}

// Reserve notes that the file_ids up to newest are in use, durably: before files get names with them, so that no name can be in the
// way of somebody else, whenever this process ends.
func (l *Locked) Reserve(newest uint32) error {
	h := l.m.Header()
	if newest <= h.HighestFileID {
		return nil
	}
	h.HighestFileID = newest
	return l.x.CommitDone(true, done(translog.ExtIntros{l.intro(extMap)}), done(translog.ExtHdrUpdates{{Data: h.Append(nil)[:4]}}))
}

// Append adds messages with one reference each and returns the map UID of the first; the others follow it. It is durable on return.
func (l *Locked) Append(now time.Time, messages []Location) (first UID, err error) {
	s := l.x.State()
	next := s.NextUID()
	if uint64(next)+uint64(len(messages)) > 1<<32-2 {
		return 0, fmt.Errorf("mapindex: map UIDs are used up at %d", next)
	}
	appends := make(translog.Appends, len(messages))
	locations := translog.NewExtRecUpdates(mapRecordSize)
	counts := translog.NewExtRecUpdates(refRecordSize)
	for i, m := range messages {
		uid := next + uint32(i)
		appends[i].UID = uid
		locations.Add(uid, m.Append(nil))
		counts.Add(uid, AppendRefcount(nil, 1))
	}
	records := []translog.NewRecord{done(appends),
		done(translog.ExtIntros{l.intro(extMap)}), done(locations),
		done(translog.ExtIntros{l.intro(extRef)}), done(counts)}
	if day, ok := s.DayUpdate(now, next); ok {
		records = append(records, done(day))
	}
	return UID(next), l.x.CommitDone(true, records...)
}

// AddReferences changes the reference counts of messages by diff for each time that they are named. Messages that are not
// in the map are left out, and a count does not fall below 0: missing names both. More references are durable on return; fewer need not be, since
// a count that is too high does no harm.
func (l *Locked) AddReferences(uids []UID, diff int32) (missing []UID, err error) {
	total := make(map[UID]int32, len(uids))
	for _, uid := range uids {
		total[uid] += diff
	}
	return l.changeReferences(total, diff > 0)
}

// SetReferences sets the reference counts of messages, as the end of a change that was not finished. Messages that
// are not in the map are left out.
func (l *Locked) SetReferences(counts map[UID]uint16) error {
	total := make(map[UID]int32, len(counts))
	for uid, n := range counts {
		e, found, err := l.m.Lookup(uid)
		if err != nil || !found {
			continue
		}
		total[uid] = int32(n) - int32(e.Refcount)
	}
	_, err := l.changeReferences(total, true)
	return err
}

func (l *Locked) changeReferences(total map[UID]int32, durable bool) (missing []UID, err error) {
	uids := slices.Sorted(maps.Keys(total))
	var incs translog.ExtAtomicIncs
	for _, uid := range uids {
		diff := total[uid]
		e, found, err := l.m.Lookup(uid)
		if err != nil || !found || int32(e.Refcount)+diff < 0 {
			missing = append(missing, uid)
			diff = -int32(e.Refcount)
		}
		if int32(e.Refcount)+diff > maxRefcount {
			return nil, fmt.Errorf("%w: map UID %d", ErrTooManyReferences, uid)
		}
		if diff != 0 {
			incs = append(incs, translog.ExtAtomicInc{UID: uint32(uid), Diff: diff})
		}
	}
	if len(incs) == 0 {
		return missing, nil
	}
	return missing, l.x.CommitDone(durable, done(translog.ExtIntros{l.intro(extRef)}), done(incs))
}

// Move is a message that a purge has put elsewhere.
type Move struct {
	UID UID
	To  Location
}

// Purged notes that messages have moved, and that others, which had no reference, are no more. It is durable on return.
func (l *Locked) Purged(moved []Move, gone []UID) error {
	slices.SortFunc(moved, func(a, b Move) int { return int(int64(a.UID) - int64(b.UID)) })
	slices.Sort(gone)
	var records []translog.NewRecord
	if len(moved) > 0 {
		locations := translog.NewExtRecUpdates(mapRecordSize)
		for _, m := range moved {
			locations.Add(uint32(m.UID), m.To.Append(nil))
		}
		records = append(records, done(translog.ExtIntros{l.intro(extMap)}), done(locations))
	}
	if len(gone) > 0 {
		expunged := make(translog.ExpungeGUIDs, len(gone))
		for i, uid := range gone {
			expunged[i].UID = uint32(uid)
		}
		records = append(records, done(expunged))
	}
	if len(records) == 0 {
		return nil
	}
	return l.x.CommitDone(true, records...)
}

// Finish says that everything in the log was carried out, and lets the index be rewritten if it is time for that.
func (l *Locked) Finish() error {
	if err := l.x.CommitTail(); err != nil {
		return err
	}
	return l.x.Maintain()
}

// Settled reports whether the tail is at the end of the log, as far as this process knows: then Dovecot finds nothing unfinished.
func (l *Locked) Settled() bool {
	s := l.x.State()
	return s.Header().LogTail() == s.Pos()
}

// Unlock gives the lock back.
func (l *Locked) Unlock() error { return l.x.Unlock() }

func (l *Locked) intro(name string) translog.ExtIntro {
	if name == extRef {
		return l.x.Intro(extRef, 0, refRecordSize, refRecordSize)
	}
	return l.x.Intro(extMap, mapHeaderSize, mapRecordSize, 4)
}

func done(p translog.Payload) translog.NewRecord {
	return translog.NewRecord{External: true, Payload: p}
}

// Check reports damage that keeps the map from being changed: then references could not be counted.
func (l *Locked) Check() error {
	problems, _ := l.m.x.Damage()
	if len(problems) == 0 {
		return nil
	}
	return fmt.Errorf("mapindex: map is damaged: %w", problems[0])
}
