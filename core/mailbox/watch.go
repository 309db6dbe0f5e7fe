package mailbox

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/roostmail/roost/core/backend"
)

// SetPoll sets the function that reads, without blocking, what the kernel has
// queued for the watcher's descriptor, and calls WatchEvent for it. nil: there is no
// descriptor (yet, or while the plugin is restarted); no mailbox is Clean then.
func (r *Registry) SetPoll(f func()) {
	if f == nil {
		r.pollFunc.Store(nil)
		return
	}
	r.pollFunc.Store(&f)
}

// poll reports whether there is a descriptor, all of whose events have been told when it returns.
func (r *Registry) poll() bool {
	f := r.pollFunc.Load()
	if f != nil {
		(*f)()
	}
	return f != nil
}

// WatchEvent tells that something happened in the directory of watch wd: to the
// file name, or ("") to the directory itself. gone: the watch does not exist
// any more. Safe for concurrent use.
func (r *Registry) WatchEvent(wd int32, name string, gone bool) {
	var signal []uint32
	r.mu.Lock()
	r.recent[r.events%uint64(len(r.recent))] = wd
	r.events++
	r.statuses.event(wd, name, gone)
	back, owners := r.follows.event(wd, name, gone)
	r.giveBackWatches(back)
	for id := r.byWatch.First(watchHash(wd)); id != 0; {
		e := r.entries.At(id)
		next := e.watchNext
		if e.watch == wd && (gone || r.means(e, name)) {
			if gone {
				r.unlist(id)
				r.unwatch(r.more.drop(id))
			}
			if r.announce(e) {
				signal = append(signal, id)
			}
		}
		id = next
	}
	for _, id := range r.more.meant(wd, name, gone) {
		if gone { // without it, the others do not tell of every change
			r.more.forget(id, wd)
			r.dropWatch(id)
		}
		if r.announce(r.entries.At(id)) {
			signal = append(signal, id)
		}
	}
	r.mu.Unlock()
	for _, id := range signal {
		r.onChange(id)
	}
	r.tellStale(owners)
}

// means is means for the names that an entry watches for. The caller holds r.mu.
func (r *Registry) means(e *entry, name string) bool {
	var buf [128]byte
	return means(name, string(r.names.Append(buf[:0], e.watchName)))
}

// Wrote tells that the caller has changed a mailbox in storage. The sessions there learn of it as of a
// change by somebody else: by the watch's event, or if there is no watch from here. kinds is for OnNews; 0: nothing is told there.
func (r *Registry) Wrote(ref backend.MailboxRef, kinds backend.ChangeKinds) {
	if kinds != 0 {
		r.tell(ref, kinds, nil)
	}
	r.mu.RLock()
	id := r.lookup(ref)
	r.mu.RUnlock()
	if id != 0 && !r.entries.At(id).has(bitWatched) {
		r.markDirty(id)
	}
}

// means reports whether an event for a name in a watched directory, or ("") for the directory
// itself, means a change to who watches for names with a prefix.
func means(name, prefix string) bool { return name == "" || strings.HasPrefix(name, prefix) }

// WatchLost tells that all watches are void: events were lost, or the watcher
// was restarted. Every mailbox is taken to be changed, and gets a new watch when it is next looked at.
func (r *Registry) WatchLost() {
	r.mu.Lock()
	r.epoch++
	r.giveBackWatches(r.statuses.lost())
	back, owners := r.follows.lost()
	r.giveBackWatches(back)
	for id := uint32(1); id <= r.entries.Slots(); id++ {
		e := r.entries.At(id)
		r.names.Drop(e.watchName)
		e.watch, e.watchName = 0, 0
		r.unmark(e, bitWatched)
	}
	r.byWatch.Clear()
	r.more.clear()
	r.mu.Unlock()
	r.each(func(id uint32, e *entry) { r.markDirty(id) })
	r.tellStale(owners)
}

// each calls f for the entries that there are, without a lock.
func (r *Registry) each(f func(id uint32, e *entry)) {
	for id := uint32(1); id <= r.entries.Slots(); id++ {
		if e := r.at(id); e != nil {
			f(id, e)
		}
	}
}

// watchState is taken before a call that may add a watch.
type watchState struct{ epoch, events, elsewhere uint64 }

func (r *Registry) watchState() watchState {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.watching()
}

// watching is watchState for who holds mu.
func (r *Registry) watching() watchState { return watchState{r.epoch, r.events, r.elsewhere.count} }

// addWatch registers the watches that a call of storage's Open has added since
// before was taken. An event that came while they were not yet known to be this
// mailbox's makes it dirty.
func (r *Registry) addWatch(m *Mailbox, s *backend.Snapshot, before watchState) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e, wd := m.e, s.Watch
	r.dropWatch(m.id)
	if wd == 0 || r.watcher == nil || r.epoch != before.epoch {
		return // a watch of an earlier watcher says nothing
	}
	prefix, err := r.names.Hold([]byte(s.WatchName))
	if err != nil {
		r.log.Error("mailbox can not be watched", "error", err)
		r.unwatch(append(ids(s.MoreWatches), wd))
		return
	}
	e.watch, e.watchName = wd, prefix
	r.byWatch.Add(m.id)
	r.more.add(m.id, s.MoreWatches)
	if r.eventSince(wd, before.events) || slices.ContainsFunc(s.MoreWatches, func(w backend.Watch) bool { return r.eventSince(w.ID, before.events) }) {
		r.mark(e, bitDirty)
	}
	r.mark(e, bitWatched)
}

// eventSince reports whether there was, or may have been, an event of wd after the first n. The caller holds mu.
func (r *Registry) eventSince(wd int32, n uint64) bool {
	if r.events-n > uint64(len(r.recent)) {
		return true
	}
	for ; n < r.events; n++ {
		if r.recent[n%uint64(len(r.recent))] == wd {
			return true
		}
	}
	return false
}

// unlist takes an entry off the list of its watch, which it returns; 0 if there was none. The caller holds mu.
func (r *Registry) unlist(id uint32) (wd int32) {
	e := r.entries.At(id)
	if e.watch == 0 {
		return 0
	}
	r.byWatch.Remove(id)
	r.names.Drop(e.watchName)
	wd = e.watch
	e.watch, e.watchName = 0, 0
	r.unmark(e, bitWatched)
	return wd
}

// without removes x from s.
func without[T comparable](s []T, x T) []T {
	return slices.DeleteFunc(s, func(y T) bool { return y == x })
}

// dropWatch gives the watches of an entry back. The caller holds mu.
func (r *Registry) dropWatch(id uint32) {
	back := r.more.drop(id)
	if wd := r.unlist(id); wd != 0 {
		back = append(back, wd)
	}
	r.unwatch(back)
}

// unwatchTimeout bounds the call that takes back watches, unwatchStep how many it takes. Between two calls there is
// unwatchPause, so that the second one is for all that have woken meanwhile.
const (
	unwatchPause   = 50 * time.Millisecond
	unwatchTimeout = 10 * time.Second
	unwatchStep    = 1024
)

// unwatch gives watches back, in the background, each as often as storage has added it. If it
// removes one that is used nevertheless, since the same directory was watched anew meanwhile, it
// reports that (gone), and the user gets a new one. The caller holds mu.
func (r *Registry) unwatch(wds []int32) {
	if r.closed || len(wds) == 0 {
		return
	}
	r.back = append(r.back, wds...)
	if !r.unwatches {
		r.unwatches = true
		r.wg.Add(1)
		go r.giveBack() // ends when nothing is left, with r.ctx at the latest
	}
}

// giveBack makes one call after the other until there are no watches to give back.
func (r *Registry) giveBack() {
	defer r.wg.Done()
	for {
		r.mu.Lock()
		n := min(len(r.back), unwatchStep)
		wds := r.back[:n:n]
		if r.back = r.back[n:]; n == 0 {
			r.back, r.unwatches = nil, false
			r.mu.Unlock()
			return
		}
		r.mu.Unlock()
		ctx, cancel := context.WithTimeout(r.ctx, unwatchTimeout)
		if err := r.watcher.Unwatch(ctx, wds); err != nil {
			r.log.Debug("unwatch", "watches", len(wds), "error", err)
		}
		cancel()
		select {
		case <-time.After(unwatchPause):
		case <-r.stop:
		}
	}
}

// pollUnwatched announces, in each interval, a change of every mailbox without a
// watch, and again those that were announced and could not be fetched.
func (r *Registry) pollUnwatched() {
	defer r.wg.Done()
	t := time.NewTicker(r.cfg.PollInterval)
	defer t.Stop()
	for {
		select {
		case <-r.stop:
			return
		case <-t.C:
		}
		r.pollFollowed()
		if r.dirtyCount.Load() == 0 && r.watchedCount.Load() == int64(r.entries.Used()) {
			continue
		}
		r.each(func(id uint32, e *entry) {
			if !e.has(bitWatched) {
				r.mark(e, bitDirty)
			}
			if e.has(bitDirty) {
				r.onChange(id)
			}
		})
	}
}
