package mailbox

import (
	"github.com/emersion/go-imap/v2"

	"github.com/roostmail/roost/core/backend"
)

// What can be answered from a mailbox's entry alone, whether it sleeps or not. id is that of a mailbox that the caller, a session, refers to. None of
// these blocks, asks storage, or wakes anything.

// at returns the entry of a mailbox that somebody refers to, or nil.
func (r *Registry) at(id uint32) *entry {
	if e := r.entries.At(id); e != nil && e.has(bitLive) {
		return e
	}
	return nil
}

// clean reports whether the newest version that is known is the state of the mailbox at this moment.
func (r *Registry) clean(e *entry) bool {
	const want = bitWatched | bitLive
	ok := func() bool { return e.bits.Load()&(want|bitDirty|bitFetching) == want && e.current() != 0 }
	return ok() && r.poll() && ok()
}

// stale reports whether there is a change that nobody has fetched yet, as far as can
// be known without a call: exactly for a mailbox with a watch, else as announced.
func (r *Registry) stale(e *entry) bool {
	if e.has(bitWatched) {
		return !r.clean(e)
	}
	return e.has(bitDirty)
}

// UpToDate reports whether a version is known to be the state of the mailbox at this moment. Always false for a mailbox without a watch.
func (r *Registry) UpToDate(id uint32, version uint64) bool {
	e := r.at(id)
	return e != nil && r.clean(e) && e.current() == version
}

// Told reports whether a session that stands at a version knows all that is known of the mailbox (Mailbox.Stale).
func (r *Registry) Told(id uint32, version uint64) bool {
	e := r.at(id)
	return e != nil && !r.stale(e) && e.current() == version
}

// News reports whether there is something to tell, or a change was announced that must be fetched first. Unlike Told it asks nobody: a change
// may be on its way.
func (r *Registry) News(id uint32, version uint64) bool {
	e := r.at(id)
	return e != nil && (e.has(bitDirty) || e.current() != version)
}

// StatusOf returns values of a mailbox's newest state, and reports whether they are all that are asked for, and of this moment.
func (r *Registry) StatusOf(id uint32, items backend.StatusItems) (backend.MailboxStatus, bool) {
	const known = backend.StatusMessages | backend.StatusUIDNext | backend.StatusUIDValidity | backend.StatusHighestModSeq | backend.StatusMailboxID
	e := r.at(id)
	if e == nil || items&^known != 0 || !r.clean(e) {
		return backend.MailboxStatus{}, false
	}
	r.mu.RLock()
	defer r.mu.RUnlock()
	if m := r.open[id]; m != nil && m.Current() != nil {
		v := m.Current()
		return backend.MailboxStatus{Messages: v.Len(), UIDNext: v.UIDNext, UIDValidity: v.UIDValidity, HighestModSeq: v.HighestModSeq, MailboxID: v.MailboxID}, true
	}
	if v, ok := e.savedVersion(); !ok || v != e.current() || e.lost() != nil {
		return backend.MailboxStatus{}, false
	}
	s := e.getState()
	return backend.MailboxStatus{Messages: s.count, UIDNext: imap.UID(s.uidNext), UIDValidity: s.uidValidity, HighestModSeq: s.highestModSeq, MailboxID: s.mailboxID}, true
}

// NameOf returns the name that a mailbox was opened by.
func (r *Registry) NameOf(id uint32) (namespace, name string) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if e := r.at(id); e != nil {
		return r.nameOf(e)
	}
	return "", ""
}

// ModSeqAt returns HIGHESTMODSEQ of a version that a session stands at; ok is false if its history is gone.
func (r *Registry) ModSeqAt(id uint32, version uint64) (modseq uint64, ok bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	e := r.at(id)
	if e == nil {
		return 0, false
	}
	if m := r.open[id]; m != nil && m.Current() != nil {
		v, err := m.At(version)
		if err != nil {
			return 0, false
		}
		return v.HighestModSeq, true
	}
	saved, ok := e.savedVersion()
	if !ok || e.lost() != nil || version > saved {
		return 0, false
	}
	if version == saved {
		s := e.getState()
		return s.highestModSeq, true
	}
	x, err := r.getExtra(e)
	if back := saved - version; err == nil && back <= uint64(len(x.steps)) {
		return x.steps[uint64(len(x.steps))-back].limits.highestModSeq, true
	}
	return 0, false
}
