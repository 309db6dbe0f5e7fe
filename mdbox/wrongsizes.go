package mdbox

import (
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"

	"github.com/roostmail/roost/mdbox/index"
	"github.com/roostmail/roost/mdbox/translog"
)

// The size of a message with CRLF line ends is noted in its metadata or the name of its file, in the index, and in the cache. Each note
// can be wrong. It is believed until the message is read to its end; then what was found counts (package dbox, ErrVirtualSize). The notes of
// index and cache are corrected with what else was learned (Messages.Learn). That of the message itself stays as it is, and is remembered here.

// wrongSizes are the notes of a store that were found to be wrong.
type wrongSizes struct {
	some  atomic.Bool // there are some
	mu    sync.Mutex
	found map[wrongSize]foundSize
}

// foundSize is what a size is that is noted wrong.
type foundSize struct {
	size uint64 // bytes
	kept bool   // index and cache have been given it
}

// wrongSize is a note about a message. Another note about it may be right.
type wrongSize struct {
	mailbox [16]byte // its GUID
	uid     uint32
	stored  bool // of the size as stored
	noted   uint64
}

// maxWrongSizes bounds how many notes are remembered of a store.
const maxWrongSizes = 4096

// find returns what the size is that w notes; false if w is not known to be wrong.
func (s *wrongSizes) find(w wrongSize) (right uint64, wrong bool) {
	if !s.some.Load() {
		return 0, false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	f, wrong := s.found[w]
	return f.size, wrong
}

// set remembers what was found of the size that w notes, and reports whether w is wrong and that is news.
func (s *wrongSizes) set(w wrongSize, found uint64) (news bool) {
	if w.noted == found && !s.some.Load() {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	before, known := s.found[w]
	switch {
	case w.noted == found:
		delete(s.found, w)
		return false
	case known && before.size == found:
		return false
	case !known && len(s.found) >= maxWrongSizes:
		for one := range s.found {
			delete(s.found, one)
			break
		}
	}
	if s.found == nil {
		s.found = make(map[wrongSize]foundSize)
	}
	s.found[w] = foundSize{size: found}
	s.some.Store(true)
	return true
}

// keep notes that index and cache are given the size that w notes wrong, and reports whether they were not before.
func (s *wrongSizes) keep(w wrongSize) (first bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f, known := s.found[w]
	if !known || f.kept {
		return false
	}
	f.kept = true
	s.found[w] = f
	return true
}

func (m *Message) wrongSize(noted uint64) wrongSize {
	return wrongSize{mailbox: m.ms.guid, uid: m.rec.uid, noted: noted}
}

// notedSize returns what index or cache say; false if they say nothing.
func (m *Message) notedSize() (size uint64, ok bool) {
	if m.rec.hasVSize {
		return uint64(m.rec.vsize), true
	}
	m.ms.learner.uses(sizeField, m.rec.uid)
	if c := m.cache(); c != nil {
		return c.VirtualSize()
	}
	return 0, false
}

// rightSize returns the size of a message of which index or cache say that it is noted.
func (m *Message) rightSize(noted uint64) uint64 {
	if n, ok := m.FoundSize(); ok {
		return n
	}
	if n, wrong := m.ms.b.store.sizes.find(m.wrongSize(noted)); wrong {
		return n
	}
	return noted
}

// FoundSize returns what the size is, if all of the message was read since it became the current one, or its note is known to be wrong.
func (m *Message) FoundSize() (size uint64, ok bool) {
	if m.body == nil {
		return 0, false
	}
	return m.body.FoundVirtualSize()
}

// recallSize tells the message that was opened its size if its note is known to be wrong.
func (m *Message) recallSize() {
	if noted, ok := m.body.NotedVirtualSize(); ok {
		if n, wrong := m.ms.b.store.sizes.find(m.wrongSize(noted)); wrong {
			m.body.SetVirtualSize(n)
		}
	}
}

// WrongSize is a note of a message's size that is wrong.
type WrongSize struct {
	File         string // that has the note, or whose name is it
	Noted, Found uint64 // bytes
	Stored       bool   // of the text as it is stored, not with CRLF line ends
	Index        bool   // File is the index of the mailbox
	kept         bool   // in index or cache
}

// Rule says what is noted and what is.
func (w *WrongSize) Rule() string {
	as := "with CRLF line ends"
	if w.Stored {
		as = "as stored"
	}
	return fmt.Sprintf("the size is noted as %d bytes %s, and is %d", w.Noted, as, w.Found)
}

func (w *WrongSize) Error() string { return w.File + ": " + w.Rule() }

// WrongSizes returns what is noted wrong of the size of the message, if all of it was read since it became the current one, or its note is known to
// be wrong; else nil.
func (m *Message) WrongSizes() (wrong []*WrongSize) {
	m.sizeNotes(func(w WrongSize) {
		if w.Noted != w.Found {
			one := w
			wrong = append(wrong, &one)
		}
	})
	return wrong
}

// sizeNotes calls each with the notes of the message's size, right or wrong, if that is known. To look for one in the cache that nobody has
// looked at is worth it only if another is wrong.
func (m *Message) sizeNotes(each func(WrongSize)) {
	found, ok := m.FoundSize()
	if !ok {
		return
	}
	wrong := false
	if n, ok := m.body.NotedVirtualSize(); ok {
		wrong = n != found
		each(WrongSize{File: m.body.Path(), Noted: n, Found: found})
	}
	if m.named != 0 {
		wrong = wrong || m.named != m.body.PhysicalSize()
		each(WrongSize{File: m.body.Path(), Noted: m.named, Found: m.body.PhysicalSize(), Stored: true})
	}
	if m.rec.hasVSize {
		each(WrongSize{File: filepath.Join(m.ms.b.Dir(), index.DefaultPrefix), Noted: uint64(m.rec.vsize), Found: found, Index: true, kept: true})
		return
	}
	if !m.cacheLoaded && !wrong {
		return
	}
	if c := m.cache(); c != nil {
		if n, ok := c.VirtualSize(); ok {
			each(WrongSize{File: m.ms.b.cacheFile, Noted: n, Found: found, kept: true})
		}
	}
}

// checkSize compares what is noted with what the open message was found to have, if all of it was read. What is wrong is reported
// once, and learned for index and cache, unless they have it right.
func (m *Message) checkSize() {
	sizes := &m.ms.b.store.sizes
	var news error
	var own wrongSize // the wrong note of the message itself
	kept, keptWrong := false, false
	m.sizeNotes(func(w WrongSize) {
		key := m.wrongSize(w.Noted)
		key.stored = w.Stored
		if sizes.set(key, w.Found) && news == nil {
			first := w
			news = &first
		}
		switch {
		case w.kept:
			kept, keptWrong = true, w.Noted != w.Found
		case !w.Stored && w.Noted != w.Found:
			own = key
		}
	})
	if news != nil {
		m.ms.b.store.options.Report(fmt.Errorf("mdbox: message %d of %s: %w", m.rec.uid, m.ms.b.name, news))
	}
	if l := m.ms.learner; l != nil && (keptWrong || !kept && own != wrongSize{} && sizes.keep(own)) {
		n, _ := m.body.FoundVirtualSize()
		l.size(m, n)
	}
}

// sizeCorrections returns the records that correct what the index has of the sizes of messages: each, and the sum of all, which is to be
// counted again if one of them is in it.
func (l *lockedBox) sizeCorrections(sizes []index.SizedMessage) (records []translog.NewRecord) {
	s := l.x.State()
	sum, kept := s.VSize()
	updates := translog.NewExtRecUpdates(vsizeRecordSize)
	recount := false
	for _, m := range sizes {
		if _, there := s.Find(m.UID); !there {
			continue
		}
		updates.Add(m.UID, index.AppendVSize(nil, m.Size))
		recount = recount || l.sum != nil && kept && m.UID <= sum.HighestUID
	}
	if hasVSize(s) && updates.Len() > 0 {
		records = append(records, external(translog.ExtIntros{l.x.Intro(index.ExtVSize, 0, vsizeRecordSize, 4)}), external(updates))
	}
	if recount {
		records = append(records, l.x.VSizeUpdate(index.VSizeHeader{})...)
	}
	return records
}
