package mailbox

// HoldTurn takes the turn to refresh m and returns what gives it back.
func HoldTurn(m *Mailbox) (release func()) {
	m.turn <- struct{}{}
	return func() { <-m.turn }
}

// Unclaim ends what an owner has claimed.
func Unclaim(m *Mailbox, owner uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.unclaim(owner)
}
