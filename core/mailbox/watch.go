package mailbox

import (
	"context"
	"slices"
	"strings"
	"time"
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
	for _, m := range r.watches[wd] {
		if name != "" && !strings.HasPrefix(name, m.watchName) && !gone {
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

// WatchLost tells that all watches are void: events were lost, or the watcher
// was restarted. Every mailbox is taken to be changed, and gets a new watch when it is next looked at.
func (r *Registry) WatchLost() {
	var signal []uint32
	r.mu.Lock()
	r.epoch++
	clear(r.watches)
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

// unlist takes m off the list of its watch and reports the watch if it was the last. The caller holds mu.
func (r *Registry) unlist(m *Mailbox) (last int32) {
	if m.watch == 0 {
		return 0
	}
	wd := m.watch
	m.watch = 0
	m.watched.Store(false)
	ms := slices.DeleteFunc(r.watches[wd], func(o *Mailbox) bool { return o == m })
	if len(ms) > 0 {
		r.watches[wd] = ms
		return 0
	}
	delete(r.watches, wd)
	return wd
}

// unwatchTimeout bounds the call that takes back a watch.
const unwatchTimeout = 10 * time.Second

// dropWatch gives the watch of m back, in the background. If the same mailbox
// is opened meanwhile, the kernel gives it the same watch, and the watcher then
// removes it; it reports that (gone), and the mailbox gets a new one. The caller holds mu.
func (r *Registry) dropWatch(m *Mailbox) {
	wd := r.unlist(m)
	if wd == 0 || r.closed {
		return
	}
	r.wg.Add(1)
	go func() { // ends after one call, with r.ctx at the latest
		defer r.wg.Done()
		ctx, cancel := context.WithTimeout(r.ctx, unwatchTimeout)
		defer cancel()
		if err := r.watcher.Unwatch(ctx, []int32{wd}); err != nil {
			r.log.Debug("unwatch", "watch", wd, "error", err)
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
