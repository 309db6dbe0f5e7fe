package checker

import (
	"fmt"
	"sync"
)

// world is what all connections know of the mailbox together: what never changes, and how far it has come. It is safe for concurrent use.
type world struct {
	mu       sync.Mutex
	modseq   uint64               // the highest that any connection was told
	fixed    map[uint32]fixedData // by UID
	validity uint32               // UIDVALIDITY, 0 = nobody was told
}

// fixedData never changes for a UID (RFC 3501 §2.3.1.1).
type fixedData struct{ size, header string }

func newWorld() *world { return &world{fixed: map[uint32]fixedData{}} }

func (w *world) raise(modseq uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.modseq = max(w.modseq, modseq)
}

// floor is a modseq that the mailbox has by now.
func (w *world) floor() uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.modseq
}

// remember compares what a FETCH response tells with what was told of the same UID before.
func (w *world) remember(msg *message, t *told) error {
	if msg.uid == 0 || t.size == "" && t.header == "" {
		return nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	f := w.fixed[msg.uid]
	switch {
	case t.size != "" && f.size != "" && t.size != f.size:
		return fmt.Errorf("UID %d has %s bytes, and had %s", msg.uid, t.size, f.size)
	case t.header != "" && f.header != "" && t.header != f.header:
		return fmt.Errorf("UID %d has the header %q, and had %q", msg.uid, t.header, f.header)
	}
	if t.size != "" {
		f.size = t.size
	}
	if t.header != "" {
		f.header = t.header
	}
	w.fixed[msg.uid] = f
	return nil
}

func (w *world) uidValidity() uint32 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.validity
}

func (w *world) setUIDValidity(n uint32) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.validity = n
}
