package mailbox

import "sort"

// chunkList is the messages of a view. What is looked up in it lies side by side, so that what an edit leaves as it is need not be touched, chunk for chunk.
type chunkList struct {
	chunks []*chunk
	before []uint32 // messages before each chunk
	lasts  []uint32 // the last UID of each chunk
	count  uint32
	unseen uint32
}

// listOf returns the list of chunks.
func listOf(chunks []*chunk) chunkList {
	var w writer
	w.reserve(len(chunks))
	for _, c := range chunks {
		w.add(c)
	}
	return w.list
}

// find returns the first chunk, from number from on, that ends with a UID of at least uid.
func (l *chunkList) find(from int, uid uint32) int {
	return from + sort.Search(len(l.lasts)-from, func(i int) bool { return l.lasts[from+i] >= uid })
}

// writer puts together the chunks of a view, in order.
type writer struct {
	t    *flagTable
	list chunkList
	open *chunk // being filled, owned; not in list
}

// rewriting returns a writer of what becomes of l: each of its chunks is to be kept or replaced.
func rewriting(l *chunkList, t *flagTable) writer {
	w := writer{t: t}
	w.reserve(len(l.chunks) + 1)
	w.list.unseen = l.unseen
	return w
}

func (w *writer) reserve(chunks int) {
	w.list.chunks = make([]*chunk, 0, chunks)
	numbers := make([]uint32, 2*chunks)
	w.list.before, w.list.lasts = numbers[:0:chunks], numbers[chunks:chunks]
}

// keep takes over the chunks [from, to) of the list that is rewritten.
func (w *writer) keep(l *chunkList, from, to int) {
	if from == to {
		return
	}
	w.flush()
	n := &w.list
	n.chunks = append(n.chunks, l.chunks[from:to]...)
	n.lasts = append(n.lasts, l.lasts[from:to]...)
	ahead := n.count - l.before[from]
	for _, before := range l.before[from:to] {
		n.before = append(n.before, before+ahead)
	}
	last := l.chunks[to-1]
	n.count = l.before[to-1] + ahead + uint32(last.len())
}

// replace says that what is written next is there instead of a chunk of the list that is rewritten.
func (w *writer) replace(c *chunk) { w.list.unseen -= c.unseen }

// add appends a chunk that is new.
func (w *writer) add(c *chunk) {
	w.flush()
	n := &w.list
	n.chunks, n.before, n.lasts = append(n.chunks, c), append(n.before, n.count), append(n.lasts, c.last())
	n.count += uint32(c.len())
	n.unseen += c.unseen
}

// put appends one message.
func (w *writer) put(r record) {
	if w.open == nil {
		w.open = &chunk{}
	} else if w.open.len() >= chunkSize {
		w.flush()
		w.open = &chunk{}
	}
	w.open.push(r, w.t)
}

// fill goes on with a chunk that the caller owned, and that may be small or empty.
func (w *writer) fill(c *chunk) {
	w.flush()
	w.open = c
}

// flush ends the chunk being filled. A small one is joined with a small one before it, so that
// expunging does not leave many tiny chunks.
func (w *writer) flush() {
	c := w.open
	if w.open = nil; c == nil || c.len() == 0 {
		return
	}
	if last := w.last(); last != nil && last.len()+c.len() <= chunkSize/2 {
		w.removeLast()
		c = join(last, c, w.t)
	}
	w.add(c)
}

// last returns the last chunk, nil if there is none.
func (w *writer) last() *chunk {
	if n := len(w.list.chunks); n > 0 {
		return w.list.chunks[n-1]
	}
	return nil
}

// removeLast removes the last chunk.
func (w *writer) removeLast() {
	n := &w.list
	i := len(n.chunks) - 1
	n.count, n.unseen = n.before[i], n.unseen-n.chunks[i].unseen
	n.chunks, n.before, n.lasts = n.chunks[:i], n.before[:i], n.lasts[:i]
}

// grow appends new messages after all others. The last chunk has to be that of the newest version, or new.
func (w *writer) grow(rs []record) {
	w.flush()
	for len(rs) > 0 {
		c := &chunk{}
		if last := w.last(); last != nil && last.len() < chunkSize {
			c = last.grow()
			w.removeLast()
		}
		for len(rs) > 0 && c.len() < chunkSize {
			c.push(rs[0], w.t)
			rs = rs[1:]
		}
		w.add(c)
	}
}
