package session

import "time"

// Large extras are packed once in saveDelay, and no more than saveBudget of them at once: one that changes all the time, because a
// client takes its output slowly, is copied only now and then, and many of them do not keep a processor busy.
const (
	saveDelay  = time.Second
	saveBudget = 32 << 20
)

// saveLarge packs the extras that noteLarge has told of, if it is time. Only run calls it.
func (h *holder) saveLarge() {
	if time.Since(h.savedAt) < saveDelay {
		return
	}
	h.mu.Lock()
	large := h.large
	h.large = nil
	h.mu.Unlock()
	if len(large) == 0 {
		return
	}
	h.savedAt = time.Now()
	budget := int64(saveBudget)
	for s := range large {
		if budget <= 0 {
			h.noteLarge(s)
			continue
		}
		budget -= h.save(s)
	}
}

// save packs the extra of a session, if it sleeps, and returns about how many bytes that were. One that is awake tells of it again.
func (h *holder) save(s Handle) (bytes int64) {
	r := h.e.slab.at(s.slot())
	if out, _ := r.word.signal(s.gen(), 0); out != signalOwned {
		return 0
	}
	if r.filed() {
		r.word.touch()
		h.s.attach(h.e, s.slot(), s.gen(), nil)
		bytes = h.s.x.bytes()
		h.s.keep(maxSaved)
	}
	h.release(s, r)
	return bytes
}
