package imap

import (
	"cmp"
	"slices"
)

// references makes threads of messages that answer each other, by their message IDs and, at the top, by their subjects (RFC 5256 §3: REFERENCES;
// its steps are numbered here).
func (t *thread) references() error {
	t.subjects = true
	if err := t.link(); err != nil {
		return err
	}
	g := &gathering{thread: t}
	for _, node := range t.forest.roots {
		g.roots = append(g.roots, threadRoot{node: node, parent: none})
	}
	g.sort() // (4)
	g.gather()
	if g.merge() {
		g.sort() // (6)
	}
	t.forest.roots = t.forest.roots[:0]
	for _, r := range g.roots {
		t.forest.roots = append(t.forest.roots, r.node)
	}
	return t.ctx.Err()
}

// link is steps 1 to 3: it makes a forest of the messages, in which dummies are roots only, with a child at least.
// Nodes have the numbers of t.links.
func (t *thread) link() error {
	n := len(t.messages)
	if most := t.srv.cfg.SortMemory; most > 0 {
		n = min(n, most/idCost)
	}
	t.links = newThreadLinks(n)
	if err := t.collect(); err != nil {
		return err
	}
	nodes := t.links.nodes
	t.forest.nodes = make([]forestNode, 0, len(nodes))
	for i := range nodes {
		t.forest.plant(nodes[i].message)
	}
	for i, head := range t.links.heads(func(n int) bool { return nodes[n].message != noMessage }) {
		if head != i && nodes[i].message != noMessage {
			t.forest.attach(head, i)
		}
	}
	for i := range nodes {
		if nodes[i].parent == none && (nodes[i].message != noMessage || t.forest.nodes[i].first != none) { // (2), (3)
			t.forest.roots = append(t.forest.roots, i)
		}
	}
	return t.ctx.Err()
}

// gathering is step 5: threads with the same subject become one.
type gathering struct {
	*thread
	roots []threadRoot
}

type threadRoot struct {
	node   int
	date   int64 // of the message, or of a dummy's oldest child
	age    int   // that message
	reply  bool
	parent int  // of roots: the one with the same subject that it is merged with; none = none
	gone   bool // it is part of another thread now
}

func (g *gathering) dummy(r *threadRoot) bool { return g.forest.nodes[r.node].message == noMessage }

// sort sorts the roots by date, without those that are gone. A dummy with one child gives way to that (3).
func (g *gathering) sort() {
	g.roots = slices.DeleteFunc(g.roots, func(r threadRoot) bool { return r.gone })
	for i := range g.roots {
		r := &g.roots[i]
		if g.dummy(r) {
			children := g.children(r.node)
			if r.age = g.forest.nodes[children[0]].message; len(children) == 1 {
				r.node = children[0]
			}
		} else {
			r.age = g.forest.nodes[r.node].message
		}
		r.date = g.messages[r.age].date
	}
	slices.SortFunc(g.roots, func(a, b threadRoot) int { return cmp.Or(cmp.Compare(a.date, b.date), cmp.Compare(a.age, b.age)) })
}

// gather finds the roots with the same subject (5)(A), (5)(B).
func (g *gathering) gather() {
	table := map[string]int{}
	for i := range g.roots {
		r := &g.roots[i]
		m := &g.messages[r.age]
		if m.subject == "" {
			continue
		}
		k, ok := table[m.subject]
		switch {
		case !ok:
			table[m.subject] = i
		case !g.dummy(&g.roots[k]) && (g.dummy(r) || g.roots[k].reply && !m.reply):
			g.roots[k].parent = i
			table[m.subject] = i
		default:
			r.parent = k
		}
		r.reply = m.reply
	}
}

// merge merges the roots with the same subject (5)(C), and reports whether there were any.
func (g *gathering) merge() (merged bool) {
	for i, n := 0, len(g.roots); i < n; i++ {
		if g.roots[i].parent == none || g.roots[i].gone {
			continue
		}
		merged = true
		k := g.roots[i].parent
		for g.roots[k].parent != none {
			k = g.roots[k].parent
		}
		cur, root := &g.roots[i], &g.roots[k]
		f := &g.forest
		switch {
		case g.dummy(cur) && g.dummy(root):
			for c := f.nodes[cur.node].first; c != none; {
				next := f.nodes[c].next
				f.attach(root.node, c)
				c = next
			}
		case g.dummy(root) || cur.reply && !root.reply:
			f.attach(root.node, cur.node)
		default:
			both := f.plant(noMessage)
			f.attach(both, root.node)
			f.attach(both, cur.node)
			root.parent, root.gone, cur.gone = len(g.roots), true, true
			g.roots = append(g.roots, threadRoot{node: both, parent: none})
			continue
		}
		cur.gone = true
	}
	return merged
}
