package mailbox

// HoldTurn takes the turn to refresh m and returns what gives it back.
func HoldTurn(m *Mailbox) (release func()) {
	m.turn <- struct{}{}
	return func() { <-m.turn }
}
