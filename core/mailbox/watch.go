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
	for _, m := range r.watches[wd] {
		if !gone && !means(name, m.watchName) {
			continue
		}
		if gone {
			m.watch = 0
			m.watched.Store(false)
		}
		if !m.dirty.Swap(true) {
			signal = append(signal, m.id)
		}
	}
	if gone {
		delete(r.watches, wd)
	}
	r.mu.Unlock()
	for _, id := range signal {
		r.onChange(id)
	}
}

// Wrote tells that the caller has changed a mailbox in storage. The sessions there learn of it as of a
// change by somebody else: by the watch's event, or if there is no watch from here.
func (r *Registry) Wrote(ref backend.MailboxRef) {
	r.mu.RLock()
	m := r.byKey[key{ref.User.Name, ref.Namespace, ref.Name}]
	r.mu.RUnlock()
	if m != nil && !m.watched.Load() && !m.dirty.Swap(true) {
		r.onChange(m.id)
	}
}

// means reports whether an event for a name in a watched directory, or ("") for the directory
// itself, means a change to who watches for names with a prefix.
func means(name, prefix string) bool { return name == "" || strings.HasPrefix(name, prefix) }

// WatchLost tells that all watches are void: events were lost, or the watcher
// was restarted. Every mailbox is taken to be changed, and gets a new watch when it is next looked at.
func (r *Registry) WatchLost() {
	var signal []uint32
	r.mu.Lock()
	r.epoch++
	clear(r.watches)
	if back := r.statuses.lost(); len(back) > 0 {
		r.unwatch(back)
	}
	for _, m := range r.slots {
		if m == nil {
			continue
		}
		m.watch = 0
		m.watched.Store(false)
		if !m.dirty.Swap(true) {
			signal = append(signal, m.id)
		}
	}
	r.mu.Unlock()
	for _, id := range signal {
		r.onChange(id)
	}
}

// watchState is taken before a call that may add a watch.
type watchState struct{ epoch, events uint64 }

func (r *Registry) watchState() watchState {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return watchState{r.epoch, r.events}
}

// addWatch registers the watch that a call of storage's Open has added since
// before was taken. An event that came while wd was not yet known to be this
// mailbox's makes it dirty.
func (r *Registry) addWatch(m *Mailbox, wd int32, name string, before watchState) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.unlist(m)
	if wd == 0 || r.watcher == nil || r.epoch != before.epoch {
		return // a watch of an earlier watcher says nothing
	}
	m.watch, m.watchName = wd, name
	r.watches[wd] = append(r.watches[wd], m)
	if r.eventSince(wd, before.events) {
		m.dirty.Store(true)
	}
	m.watched.Store(true)
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

// unlist takes m off the list of its watch, which it returns; 0 if there was none. The caller holds mu.
func (r *Registry) unlist(m *Mailbox) (wd int32) {
	if m.watch == 0 {
		return 0
	}
	wd = m.watch
	m.watch = 0
	m.watched.Store(false)
	if ms := without(r.watches[wd], m); len(ms) > 0 {
		r.watches[wd] = ms
	} else {
		delete(r.watches, wd)
	}
	return wd
}

// without removes x from s.
func without[T comparable](s []T, x T) []T {
	return slices.DeleteFunc(s, func(y T) bool { return y == x })
}

// dropWatch gives the watch of m back. The caller holds mu.
func (r *Registry) dropWatch(m *Mailbox) {
	if wd := r.unlist(m); wd != 0 {
		r.unwatch([]int32{wd})
	}
}

// unwatchTimeout bounds the call that takes back watches.
const unwatchTimeout = 10 * time.Second

// unwatch gives watches back, in the background, each as often as storage has added it. If it
// removes one that is used nevertheless, since the same directory was watched anew meanwhile, it
// reports that (gone), and the user gets a new one. The caller holds mu.
func (r *Registry) unwatch(wds []int32) {
	if r.closed {
		return
	}
	r.wg.Add(1)
	go func() { // ends after one call, with r.ctx at the latest
		defer r.wg.Done()
		ctx, cancel := context.WithTimeout(r.ctx, unwatchTimeout)
		defer cancel()
		if err := r.watcher.Unwatch(ctx, wds); err != nil {
			r.log.Debug("unwatch", "watches", wds, "error", err)
		}
	}()
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
		for _, m := range r.all() {
			if !m.watched.Load() {
				m.dirty.Store(true)
			}
			if m.dirty.Load() {
				r.onChange(m.id)
			}
		}
	}
}
