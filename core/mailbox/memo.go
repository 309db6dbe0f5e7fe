package mailbox

// MemoKey names something that was made from one step between two versions.
type MemoKey struct {
	From, To uint64
	Kind     uint8 // the caller's
}

type memo struct {
	key  MemoKey
	text []byte
}

// memoMax bounds what Memo keeps: entries per mailbox, and bytes of each.
const (
	memoMax      = 8
	memoMaxBytes = 64 << 10
)

// Memo returns build(), or what an earlier call with the same key returned: the
// lines of an update are made once and sent to all its sessions. A new version
// makes all forgotten. The result is shared, and must not be changed.
func (m *Mailbox) Memo(k MemoKey, build func() []byte) []byte {
	m.mu.Lock()
	for _, n := range m.notes {
		if n.key == k {
			m.mu.Unlock()
			return n.text
		}
	}
	m.mu.Unlock()
	text := build()
	if len(text) > memoMaxBytes {
		return text
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.notes) >= memoMax {
		m.notes = append([]memo(nil), m.notes[1:]...)
	}
	m.notes = append(m.notes, memo{k, text})
	return text
}
