package maildir

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/roostmail/roost/mdbox/dbox"
	"github.com/roostmail/roost/mdbox/index"
	"github.com/roostmail/roost/mdbox/translog"
)

// SyncOptions say how a mailbox is synced.
type SyncOptions struct {
	// Force reads the directories even if they do not look changed.
	Force bool
	// Records, if set, returns more records for the transaction that expunges and appends messages, with their virtual sizes
	// where all are known: those of the sum of sizes.
	Records func(expunged, appended []index.SizedMessage) []translog.NewRecord
}

// Sync brings file names, dovecot-uidlist and the index in line, and carries out what clients asked for. x is the index of the
// mailbox, locked after l. What it commits is durable as Config.Fsync says. changed says that the index has changed.
//
// Errors leave everything in a state from which the next Sync goes on: index.ErrDeleted if a directory is gone, those of the
// file system and of x.
func (l *Locked) Sync(x *index.Locked, o SyncOptions) (changed bool, err error) {
	m := l.m
	if l.failed != nil {
		return false, l.failed
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	s := &syncing{l: l, x: x, o: o}
	if err := s.run(); err != nil {
		return false, l.fail("sync", err)
	}
	return s.changed, nil
}

// syncing is one Sync.
type syncing struct {
	l *Locked
	x *index.Locked
	o SyncOptions

	todo    pending
	header  Header
	files   map[string]string // by base
	scanned bool              // files are of now
	fresh   map[uint32]bool   // messages that had no UID before, by UID
	moved   bool              // cur/ was changed
	unnamed []string          // keywords, of which those without letter have none only because dovecot-keywords can not be written now
	cleaned uint32            // when tmp/ was cleaned, UNIX time; 0 = not now
	changed bool
}

func (s *syncing) run() (err error) {
	m := s.l.m
	if err := s.checkUIDValidity(); err != nil {
		return err
	}
	if s.todo, err = pendingOf(s.x); err != nil {
		return err
	}
	var stale bool
	if s.header, stale, err = m.stamps(s.x.State()); err != nil {
		return err
	}
	s.files = m.files
	if stale || s.o.Force || m.list == nil || m.list.Outdated || s.x.State().UIDValidity() == 0 || s.uidlistChanged() || s.unknown() {
		if err := s.scan(); err != nil {
			return err
		}
		if err := s.updateList(); err != nil {
			return err
		}
	}
	if err := s.addKeywords(); err != nil {
		return err
	}
	s.cleanTemp()
	return s.commit()
}

// unknown reports whether something is to be done with a message whose file is not known.
func (s *syncing) unknown() bool {
	if s.todo.empty() {
		return false
	}
	list, state := s.l.m.list, s.x.State()
	for _, uid := range state.UIDs() {
		if !s.todo.touches(uid) && !s.todo.expunges(uid) {
			continue
		}
		e := list.find(uid)
		if e == nil {
			return true
		}
		if _, found := s.files[e.Base]; !found {
			return true
		}
	}
	return false
}

// uidlistChanged reports whether somebody has changed dovecot-uidlist since the last sync.
func (s *syncing) uidlistChanged() bool {
	st := s.l.m.listInfo
	return s.header.Uidlist != FileStamp{Mtime: stampOf(st.Mtime), Size: uint32(st.Size)}
}

// checkUIDValidity starts an index anew whose UIDVALIDITY is not that of dovecot-uidlist: its UIDs mean other messages.
func (s *syncing) checkUIDValidity() error {
	m, state := s.l.m, s.x.State()
	if m.list == nil || state.UIDValidity() == 0 || state.UIDValidity() == m.list.UIDValidity {
		return nil
	}
	m.c.report(fmt.Errorf("maildir: %s: UIDVALIDITY changed from %d to %d", m.dirs.Mail, state.UIDValidity(), m.list.UIDValidity))
	s.changed = true
	return s.x.Reset(state.HighestModSeq(), translog.NewRecord{External: true, Payload: index.UIDValidityUpdate(m.list.UIDValidity)})
}

// scan reads the directories. A message of the index that is not there is looked for once more: a directory that is changed
// while it is read need not show a file that is renamed.
func (s *syncing) scan() error {
	m := s.l.m
	now := uint32(m.c.now().Unix())
	if err := s.stampDirs(now); err != nil {
		return err
	}
	files, moved, err := s.l.collect()
	if err != nil {
		return err
	}
	if s.misses(files) {
		more, again, err := s.l.collect()
		if err != nil {
			return err
		}
		for base, file := range files {
			if _, found := more[base]; !found {
				if _, err := m.c.fs().Stat(m.path(file)); isMissing(err) {
					continue
				}
				more[base] = file
			}
		}
		files, moved = more, moved || again
	}
	s.files, s.scanned, s.moved = files, true, moved
	return nil
}

// stampDirs notes what the directories are like now.
func (s *syncing) stampDirs(now uint32) error {
	m := s.l.m
	for dir, stamp := range map[string]*DirStamp{dirNew: &s.header.New, dirCur: &s.header.Cur} {
		st, err := m.c.fs().Stat(m.path(dir))
		if err != nil {
			return err
		}
		*stamp = DirStamp{Checked: max(now, uint32(st.Mtime/1e9)), Mtime: stampOf(st.Mtime)}
	}
	return nil
}

// misses reports whether a message of the index has no file, although nobody asked to expunge it.
func (s *syncing) misses(files map[string]string) bool {
	list := s.l.m.list
	if list == nil {
		return false
	}
	state := s.x.State()
	for i := range list.Entries {
		e := &list.Entries[i]
		if _, found := files[e.Base]; found || s.todo.expunges(e.UID) {
			continue
		}
		if _, found := state.Find(e.UID); found {
			return true
		}
	}
	return false
}

// updateList gives UIDs to the files that have none, and writes dovecot-uidlist if it changes.
func (s *syncing) updateList() error {
	m, state := s.l.m, s.x.State()
	rewrite := false
	if m.list == nil {
		list, err := s.newList()
		if err != nil {
			return err
		}
		m.list, rewrite = list, true
	}
	list := m.list
	if list.GUID == (dbox.GUID{}) {
		list.GUID = dbox.NewGUID()
	}
	if list.NextUID < state.NextUID() {
		list.NextUID, rewrite = state.NextUID(), true
	}
	if s.dropReappeared() {
		rewrite = true
	}
	have := list.bases()
	alive := 0
	for base := range have {
		if _, found := s.files[base]; found {
			alive++
		}
	}
	var added []string
	for base := range s.files {
		if !have[base] {
			added = append(added, base)
		}
	}
	slices.SortFunc(added, compareNames)
	first := len(list.Entries)
	if err := s.assign(added); err != nil {
		return err
	}
	const worth = 75 // percent of the lines that are alive in a file that is not worth a rewrite
	if total := len(list.Entries); !rewrite && !list.Outdated && (alive+len(added))*100 >= total*worth {
		if len(added) == 0 {
			return nil
		}
		return s.l.appendList(first)
	}
	list.Entries = slices.DeleteFunc(list.Entries, func(e Entry) bool { _, found := s.files[e.Base]; return !found })
	return s.l.rewriteList()
}

func (s *syncing) newList() (*Uidlist, error) {
	state := s.x.State()
	list := &Uidlist{UIDValidity: state.UIDValidity(), NextUID: max(1, state.NextUID())}
	if list.UIDValidity != 0 {
		return list, nil
	}
	var err error
	list.UIDValidity, err = s.l.m.c.NewUIDValidity()
	return list, err
}

// dropReappeared takes the UIDs from files that are back after their messages were expunged: they get new ones.
func (s *syncing) dropReappeared() (dropped bool) {
	state := s.x.State()
	if state.UIDValidity() == 0 {
		return false
	}
	list := s.l.m.list
	list.Entries = slices.DeleteFunc(list.Entries, func(e Entry) bool {
		file, found := s.files[e.Base]
		if _, known := state.Find(e.UID); !found || known || e.UID >= state.NextUID() {
			return false
		}
		s.l.m.c.report(fmt.Errorf("maildir: %s: expunged message %d is back and gets a new UID: %s", s.l.m.dirs.Mail, e.UID, file))
		dropped = true
		return true
	})
	return dropped
}

// assign gives UIDs to files.
func (s *syncing) assign(bases []string) error {
	list := s.l.m.list
	s.fresh = make(map[uint32]bool, len(bases))
	for _, base := range bases {
		if list.NextUID > maxUID {
			return errUIDs
		}
		list.Entries = append(list.Entries, Entry{UID: list.NextUID, Base: base})
		s.fresh[list.NextUID] = true
		list.NextUID++
	}
	return nil
}

var errUIDs = errors.New("all UIDs are used up")

// addKeywords gives letters to the keywords that are to be added to messages.
func (s *syncing) addKeywords() error {
	var names []string
	for _, c := range s.todo.changes {
		if c.keyword != "" && !c.unset {
			names = append(names, c.keyword)
		}
	}
	err := s.l.addKeywords(slices.Clone(names), s.files)
	if err != nil && s.l.m.stays(keywordsName, err) {
		s.unnamed = names
		return nil
	}
	return err
}

// addKeywords gives letters to keywords that have none, as far as there are any that no file uses.
func (l *Locked) addKeywords(names []string, files map[string]string) error {
	missing := slices.DeleteFunc(names, func(name string) bool { return l.keywords.Letter(name) != 0 })
	if len(missing) == 0 {
		return nil
	}
	var used Letters
	for _, file := range files {
		_, letters := ParseFlags(file)
		used |= letters
	}
	was := l.keywords
	for _, name := range missing {
		if l.keywords.Letter(name) == 0 {
			l.keywords.add(name, used)
		}
	}
	if l.keywords == was {
		return nil
	}
	if err := l.writeKeywords(); err != nil {
		l.keywords = was
		return err
	}
	return nil
}

// commit carries out what is to be done, and commits what is different in the index.
func (s *syncing) commit() error {
	d := &differences{s: s, state: s.x.State(), changes: newFlagRecords()}
	if err := d.collect(); err != nil {
		return err
	}
	if s.moved {
		if err := s.stampDirs(uint32(s.l.m.c.now().Unix())); err != nil {
			return err
		}
	}
	if d.renamed > 0 || len(d.expunged) > 0 {
		st, err := s.l.m.c.fs().Stat(s.l.m.path(dirCur))
		if err != nil {
			return err
		}
		s.header.Cur.changed(st)
	}
	if len(d.expunged) > 0 || d.renamed > 0 && s.l.m.c.Fsync == index.FsyncAlways {
		if err := s.l.m.syncDir(s.l.m.path(dirCur)); err != nil {
			return err
		}
	}
	records := d.records()
	if err := s.x.Commit(len(d.expunged)+len(d.appended) > 0, records...); err != nil {
		return err
	}
	s.changed = s.changed || len(records) > 0
	s.l.m.files = s.files
	if err := s.x.CommitTail(); !errors.Is(err, index.ErrRequests) {
		return err
	}
	return nil // files that could not be removed: the next Sync tries it again
}

// headerRecords returns what notes the state of the directories in the index.
func (s *syncing) headerRecords() []translog.NewRecord {
	st := s.l.m.listInfo
	s.header.Uidlist = FileStamp{Mtime: stampOf(st.Mtime), Size: uint32(st.Size)}
	var old Header
	e := s.x.State().Ext(ExtHeader)
	if e != nil {
		if h, err := DecodeHeader(e.Header()); err == nil {
			old = h
		}
		if !s.header.differs(old) {
			return nil
		}
	}
	return []translog.NewRecord{
		done(translog.ExtIntros{s.x.Intro(ExtHeader, extHeaderSize, 0, 0)}),
		done(translog.ExtHdrUpdates{{Data: s.header.Append(nil)}}),
	}
}

// done is a record of what needs nothing more to be done.
func done(p translog.Payload) translog.NewRecord {
	return translog.NewRecord{External: true, Payload: p}
}

// remove removes the file of a message, wherever it is by now.
func (s *syncing) remove(base string) error {
	return s.atFile(base, func(path string) error { return s.l.m.c.fs().Remove(path) })
}

// atFile calls f with the path of a message, and again with another one if it was renamed meanwhile. A file that is gone is no error.
func (s *syncing) atFile(base string, f func(path string) error) error {
	m := s.l.m
	for range maxScans {
		file, found := s.files[base]
		if !found {
			return nil
		}
		err := f(m.path(file))
		if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		now, err := m.scan()
		if err != nil {
			return err
		}
		if where, found := now.files[base]; found {
			s.files[base] = where
		} else {
			delete(s.files, base)
		}
	}
	return fmt.Errorf("the file of %q is renamed all the time", base)
}
