package imap

// answer appends the THREAD response (RFC 5256 §4): a thread is a list of messages that answer each other, until one has several
// answers, which are threads of their own. Nesting may be as deep as the mailbox has messages: so no recursion.
func (t *thread) answer(b []byte) []byte {
	b = append(b, "* THREAD"...)
	if len(t.forest.roots) > 0 {
		b = append(b, ' ')
	}
	stack := []threadLevel{{nodes: t.forest.roots}}
	for len(stack) > 0 {
		l := &stack[len(stack)-1]
		if len(l.nodes) == 0 {
			if stack = stack[:len(stack)-1]; l.closes {
				b = append(b, ')')
			}
			continue
		}
		t.breathe()
		node, bare := l.nodes[0], l.bare
		l.nodes = l.nodes[1:]
		if !bare {
			b = append(b, '(')
		}
		m, children := t.forest.nodes[node].message, t.children(node)
		if m != noMessage {
			b = t.appendNumber(b, m)
		}
		if m != noMessage && len(children) > 0 {
			b = append(b, ' ')
		}
		next := threadLevel{nodes: children, bare: len(children) == 1, closes: !bare}
		if bare { // it was the only one: its level goes on
			next.closes = l.closes
			stack = stack[:len(stack)-1]
		}
		stack = append(stack, next)
	}
	return append(b, '\r', '\n')
}

// threadLevel are nodes with one parent that are still to be written.
type threadLevel struct {
	nodes  []int
	bare   bool // it is a single one, which goes on the list of its parent
	closes bool // a parenthesis follows them
}
