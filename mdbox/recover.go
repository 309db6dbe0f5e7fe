package mdbox

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/roostmail/roost/mdbox/index"
	"github.com/roostmail/roost/mdbox/mapindex"
)

// recover finishes the changes of the map that a process did not live to finish. All that can be wrong are the references of the
// messages that they were about, since whoever changes references changes the map first, and does not
// move its tail before the mailbox was changed too. So these references are counted again. A message that came into the map but into no mailbox, and
// so was never acknowledged, is left to the next purge.
//
// Nobody can change references meanwhile: that takes MAP, which is held. Where a mailbox can not be read no count is lowered. (Dovecot rebuilds the whole
// store instead: dovecot mdbox-map.c, mdbox_map_atomic_lock.)
func (s *Store) recover(ctx context.Context, m *lockedMap) error {
	uids, err := m.Unfinished()
	if err != nil {
		return err
	}
	counts := make(map[mapindex.UID]uint16, len(uids))
	for _, uid := range uids {
		counts[uid] = 0
	}
	unread, err := s.countReferences(ctx, counts)
	if err != nil {
		return err
	}
	if unread != nil {
		s.options.Report(fmt.Errorf("mdbox: references counted without mailboxes that can not be read: %w", unread))
		for uid, n := range counts {
			if e, found, err := m.Map().Lookup(uid); err == nil && found && n < e.Refcount {
				counts[uid] = e.Refcount
			}
		}
	}
	if err := m.SetReferences(counts); err != nil {
		return err
	}
	if len(uids) == 0 {
		return m.Finish()
	}
	s.options.Report(fmt.Errorf("mdbox: %s: finished the changes of a process that was interrupted: counted the references of %d messages", s.location.mapDir(), len(uids)))
	return m.Finish()
}

// countAttempts is how often the mailboxes are counted again because some are renamed meanwhile.
const countAttempts = 10

var (
	errRenamed = errors.New("mailboxes are renamed meanwhile")
	// errLeftOut is in the error of names that are no mailboxes, and of mailboxes without index, which may have references nevertheless. It stays as it is until somebody renames them.
	errLeftOut = errors.New("left out of the mailboxes")
)

// countReferences sets the counts of the map UIDs in counts to how many messages in all mailboxes refer to them.
// unread is what kept mailboxes from being read: then counts may be too low.
//
// Who renames mailboxes needs no MAP, and one that was renamed meanwhile can be missed under both names, or be met under both. So they are counted again
// unless the tree has the same mailboxes before and after, none has gone, and none was met twice (but see oddities).
func (s *Store) countReferences(ctx context.Context, counts map[mapindex.UID]uint16) (unread, err error) {
	if len(counts) == 0 {
		return nil, nil
	}
	begin := func() {
		for uid := range counts {
			counts[uid] = 0
		}
	}
	return s.eachMailbox(ctx, begin, func(state *index.State) error {
		mails := state.Ext(index.ExtMdbox)
		if mails == nil {
			return nil
		}
		for i := range state.Len() {
			r, err := index.DecodeMdboxRecord(mails.Record(i))
			if err != nil {
				return err
			}
			if n, wanted := counts[mapindex.UID(r.MapUID)]; wanted {
				counts[mapindex.UID(r.MapUID)] = n + 1
			}
		}
		return nil
	})
}

// eachMailbox lets visit look at the index of every mailbox, all of them again after another begin if some were renamed meanwhile. Errors of visit are
// in unread.
func (s *Store) eachMailbox(ctx context.Context, begin func(), visit func(*index.State) error) (unread, err error) {
	known := oddities{}
	for range countAttempts {
		begin()
		whole, unread, err := s.visitOnce(ctx, known, visit)
		if whole || unread != nil || err != nil {
			return unread, err
		}
	}
	return errRenamed, nil
}

// oddities are what looks as if mailboxes were renamed, and is no more than odd if the next attempt finds it again: a name of the tree that has no mailbox
// ({name, ""}), and two names whose mailboxes have the same GUID, since somebody has copied a directory.
type oddities map[[2]string]bool

// found notes one, and reports whether it was known.
func (o oddities) found(name, other string) bool {
	known := o[[2]string{name, other}]
	o[[2]string{name, other}] = true
	return known
}

// visitOnce is one attempt of eachMailbox. It was not whole if mailboxes were renamed meanwhile.
func (s *Store) visitOnce(ctx context.Context, known oddities, visit func(*index.State) error) (whole bool, unread, err error) {
	tree, err := s.tree()
	if err != nil {
		return false, nil, err
	}
	for _, damage := range tree.Damage {
		unread = errors.Join(unread, fmt.Errorf("%w: %s", errLeftOut, damage))
	}
	orphans, err := s.orphanIndexes(tree)
	if err != nil {
		return false, nil, err
	}
	for _, dir := range orphans {
		unread = errors.Join(unread, fmt.Errorf("%w: %s has the index of no mailbox", errLeftOut, dir))
	}
	seen := map[[16]byte]string{}
	for _, info := range tree.Mailboxes {
		if info.NoSelect {
			continue
		}
		if err := ctx.Err(); err != nil {
			return false, nil, err
		}
		b, err := s.openMade(info.Name)
		if errors.Is(err, ErrNotFound) {
			if known.found(info.Name, "") {
				continue
			}
			return false, nil, nil
		}
		if errors.Is(err, ErrNotInitialised) { // nothing is in it yet; or its index is lost, or still where it was before it was renamed
			unread = errors.Join(unread, fmt.Errorf("%w: %w", errLeftOut, err))
			continue
		}
		if err == nil {
			_, err = b.index.Refresh()
		}
		if err != nil {
			unread = errors.Join(unread, err)
			continue
		}
		state := b.index.State()
		if guid := b.guid(state); guid != [16]byte{} {
			if other := seen[guid]; other != "" && !known.found(info.Name, other) {
				return false, nil, nil
			}
			seen[guid] = info.Name
		}
		if err := visit(state); err != nil {
			unread = errors.Join(unread, err)
		}
		if problems, _ := b.index.Damage(); len(problems) > 0 {
			unread = errors.Join(unread, problems[0])
		}
	}
	for range 2 { // a rename that this misses both times has come at the wrong moment of three walks
		again, err := s.tree()
		if err != nil {
			return false, nil, err
		}
		if !slices.Equal(again.Mailboxes, tree.Mailboxes) {
			return false, nil, nil
		}
	}
	return true, unread, nil
}

// afterDeath counts all references again if a process that might have changed the store has died, or if this one could not give some
// back. Nobody can change references meanwhile. It does so once, before the first change by this process; what goes wrong is reported, and leaves counts too high.
func (s *Store) afterDeath(ctx context.Context, m *lockedMap) {
	left, err := s.mark()
	s.report("leave a marker", err)
	if len(left) == 0 && !s.recount.Load() {
		return
	}
	if err := s.recountAll(ctx, m); err != nil {
		s.report("count references", err)
		s.recount.Store(true)
	} else {
		s.recount.Store(false)
	}
	for _, f := range left {
		if !s.recount.Load() {
			s.report("remove a marker", s.options.FS.Remove(f.Name()))
		}
		s.report("close a marker", f.Close())
	}
}

// recountAll makes the reference counts of the whole map those that the mailboxes have.
func (s *Store) recountAll(ctx context.Context, m *lockedMap) error {
	counts := map[mapindex.UID]uint16{}
	m.Map().All(func(uid mapindex.UID, _ mapindex.Entry, _ error) bool { counts[uid] = 0; return true })
	unread, err := s.countReferences(ctx, counts)
	if err != nil {
		return err
	}
	if unread != nil && !errors.Is(unread, errLeftOut) {
		return unread
	}
	s.report("count references, lowering none", unread)
	wrong := 0
	m.Map().All(func(uid mapindex.UID, e mapindex.Entry, err error) bool {
		if err != nil || counts[uid] == e.Refcount || counts[uid] < e.Refcount && unread != nil {
			delete(counts, uid)
			return true
		}
		wrong++
		return true
	})
	if wrong == 0 {
		return nil
	}
	if err := m.SetReferences(counts); err != nil {
		return err
	}
	s.options.Report(fmt.Errorf("mdbox: %s: a change was interrupted: corrected the references of %d messages", s.location.mapDir(), wrong))
	return nil
}
