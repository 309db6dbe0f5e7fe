package imap

import "github.com/roostmail/roost/core/message"

// threadLinks are messages and who answers whom, by message IDs: step 1 of REFERENCES (RFC 5256 §3). Message IDs that no message
// has are dummies. Messages are added in the order of the mailbox.
type threadLinks struct {
	ids   map[string]int
	nodes []linkNode
}

// newThreadLinks returns links for about n messages.
func newThreadLinks(n int) *threadLinks {
	return &threadLinks{ids: make(map[string]int, n), nodes: make([]linkNode, 0, n)}
}

type linkNode struct {
	message int // noMessage: a dummy
	parent  int // none: it is a root
	kids    int
}

// idCost is about what a message ID takes besides its bytes.
const idCost = 100

// add adds a message with its Message-ID, References and In-Reply-To, and returns how many bytes of memory that takes.
func (l *threadLinks) add(msg int, h *threadHeader) (bytes int) {
	node := none
	if id, _ := message.NextMessageID(h.id.Value); id != nil {
		node = l.node(id, &bytes)
	}
	if node == none || l.nodes[node].message != noMessage { // (1)(A): an ID that is not unique is none
		node = l.make(&bytes)
	}
	l.nodes[node].message = msg
	parent := l.chain(h, &bytes)
	n := &l.nodes[node]
	if n.parent != none && n.parent != parent { // (1)(B): what the message itself says counts
		l.nodes[n.parent].kids--
		n.parent = none
	}
	if parent != none {
		l.link(parent, node)
	}
	return bytes
}

// chain links the message IDs of References with each other, and returns the last one: the parent of the message. Without valid References it
// is the first one of In-Reply-To.
func (l *threadLinks) chain(h *threadHeader, bytes *int) (parent int) {
	parent = none
	for id, rest := message.NextMessageID(h.references.Value); id != nil; id, rest = message.NextMessageID(rest) {
		node := l.node(id, bytes)
		if parent != none {
			l.link(parent, node)
		}
		parent = node
	}
	if parent != none {
		return parent
	}
	if id, _ := message.NextMessageID(h.inReplyTo.Value); id != nil {
		return l.node(id, bytes)
	}
	return none
}

// node returns the node of a message ID.
func (l *threadLinks) node(id []byte, bytes *int) int {
	n, ok := l.ids[string(id)]
	if !ok {
		n = l.make(bytes)
		l.ids[string(id)] = n
		*bytes += len(id)
	}
	return n
}

func (l *threadLinks) make(bytes *int) int {
	l.nodes = append(l.nodes, linkNode{noMessage, none, 0})
	*bytes += idCost
	return len(l.nodes) - 1
}

// link makes child an answer to parent, unless it is one already, or that would make a loop.
func (l *threadLinks) link(parent, child int) {
	c := &l.nodes[child]
	if parent == child || c.parent != none || c.kids > 0 && l.below(parent, child) {
		return
	}
	c.parent = parent
	l.nodes[parent].kids++
}

// below reports whether a node is an answer to another one, or to one of its answers.
func (l *threadLinks) below(node, ancestor int) bool {
	for ; node != none; node = l.nodes[node].parent {
		if node == ancestor {
			return true
		}
	}
	return false
}

// tops returns the root above each node.
func (l *threadLinks) tops() []int { return l.heads(func(n int) bool { return false }) }

// heads returns for each node the nearest one above it that stops the way up, else its root; a root is its own.
func (l *threadLinks) heads(stops func(node int) bool) []int {
	heads := make([]int, len(l.nodes))
	for i := range heads {
		heads[i] = none
	}
	var path []int
	for i := range l.nodes {
		n := i
		for path = path[:0]; heads[n] == none; n = l.nodes[n].parent {
			if p := l.nodes[n].parent; p == none {
				heads[n] = n
				break
			} else if stops(p) {
				heads[n] = p
				break
			}
			path = append(path, n)
		}
		for _, below := range path {
			heads[below] = heads[n]
		}
	}
	return heads
}
