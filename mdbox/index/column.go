package index

import (
	"slices"
	"sort"
)

// keptRows is how many rows of expunged messages stay in a column. To find a row takes a search among them, and to cut one out of a
// large mailbox moves megabytes.
const keptRows = 64

// column is the data of an extension, a row of the extension's RecordSize bytes for each message. There are no rows if that is 0.
type column struct {
	b    []byte
	gone []int // places in b, counted in rows, whose messages were expunged; ascending
}

// place returns where in b the row of message i is, counted in rows.
func (c *column) place(i int) int {
	if len(c.gone) == 0 {
		return i
	}
	return i + sort.Search(len(c.gone), func(k int) bool { return c.gone[k]-k > i })
}

// row returns that of message i.
func (c *column) row(i, size int) []byte {
	at := c.place(i) * size
	return c.b[at : at+size : at+size]
}

// all returns the rows of all messages, one after the other.
func (c *column) all(size int) []byte {
	if len(c.gone) > 0 {
		c.b = cut(c.b, c.gone, size)
		c.gone = c.gone[:0]
	}
	return c.b
}

// cut removes the rows of messages, ascending.
func (c *column) cut(messages []int, size int) {
	if size == 0 {
		return
	}
	if len(c.gone)+len(messages) > keptRows {
		c.b = cut(c.all(size), messages, size)
		return
	}
	places := make([]int, 0, len(c.gone)+len(messages))
	for _, i := range messages {
		places = append(places, c.place(i))
	}
	c.gone = append(places, c.gone...)
	slices.Sort(c.gone)
}

// holds reports whether there is a row of size bytes for each of so many messages.
func (c *column) holds(messages, size int) bool {
	return len(c.b) == (messages+len(c.gone))*size || size == 0 && len(c.b) == 0
}
