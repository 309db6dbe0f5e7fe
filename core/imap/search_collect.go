package imap

import (
	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/core/mailbox"
)

// columns are what SORT and THREAD know of the messages that were found. search.collect fills them.
type columns interface {
	// wants returns the items and header fields that are needed.
	wants() (backend.FetchItems, []string)
	// add takes what storage says about message i. m is valid only until it returns.
	add(i int, m *backend.FetchedMessage) error
	// undated returns the messages whose date is not known, and sets it.
	undated() []int
	date(i int, internalDate int64)
}

// collect reads columns of messages. What cannot be read has empty ones, and fails the command in the end. A message without usable Date field has
// INTERNALDATE as its date (RFC 5256 §2.2), for which storage is asked once more.
func (s *search) collect(found []mailbox.Message, cols columns) error {
	var uids []uint32
	for _, m := range found {
		uids = append(uids, uint32(m.UID))
	}
	items, fields := cols.wants()
	c := collector{search: s, uids: uids, take: cols.add}
	if err := c.read(items, fields); err != nil {
		return err
	}
	if large := c.large; len(large) > 0 { // the whole header then, piece by piece
		uids = make([]uint32, len(large))
		for i, n := range large {
			uids[i] = uint32(found[n].UID)
		}
		c = collector{search: s, uids: uids, take: func(i int, m *backend.FetchedMessage) error { return cols.add(large[i], m) }}
		if err := c.read(items|backend.FetchHeader, nil); err != nil {
			return err
		}
	}
	none := cols.undated()
	uids = make([]uint32, len(none))
	for i, n := range none {
		uids[i] = uint32(found[n].UID)
	}
	c = collector{search: s, uids: uids, take: func(i int, m *backend.FetchedMessage) error {
		cols.date(none[i], m.InternalDate)
		return nil
	}}
	return c.read(backend.FetchInternalDate, nil)
}

// collector is a backend.FetchSink for metadata and header fields.
type collector struct {
	*search
	uids  []uint32
	next  int
	large []int                                        // of uids: the fields are too much for one answer of storage
	take  func(i int, m *backend.FetchedMessage) error // of uids[i]
	stop  error                                        // of take

	whole  bool                   // storage sends headers as a body
	got    backend.FetchedMessage // whose header is being received
	header []byte                 // of got, as much as may be held
}

// read asks for all messages, again if storage goes down meanwhile.
func (c *collector) read(items backend.FetchItems, fields []string) error {
	c.whole = items&backend.FetchHeader != 0
	r := &backend.FetchRequest{Mailbox: *c.ref, MailboxID: c.view.MailboxID, Items: items, HeaderFields: fields}
	for c.next < len(c.uids) {
		r.UIDs = c.uids[c.next:]
		c.total, c.pos = 0, 0
		err := c.srv.storage.Fetch(c.ctx, r, c)
		if c.stop != nil {
			return c.stop
		}
		if err == nil && c.pos < c.total {
			err = errTooLittle
		}
		if err == nil {
			return nil // what did not come is gone
		}
		if err = c.retry.again(c.ctx, err); err != nil {
			return err
		}
	}
	return nil
}

// Message implements backend.FetchSink.
func (c *collector) Message(m *backend.FetchedMessage) error {
	if err := c.ctx.Err(); err != nil {
		return err
	}
	c.breathe()
	c.progress.at(c.steps + uint64(c.next)*c.steps/uint64(len(c.uids)))
	for c.next < len(c.uids) && c.uids[c.next] < m.UID {
		c.next++
	}
	if c.next == len(c.uids) || c.uids[c.next] != m.UID {
		return errNotAsked
	}
	switch {
	case m.Err == nil:
	case m.Err.Kind == backend.KindLimit && !c.whole:
		c.large = append(c.large, c.next)
		c.next++
		return nil
	case m.Err.Kind != backend.KindExpunged:
		c.failures.add(m.UID, m.Err)
	}
	if c.whole && m.Err == nil && m.BodySize > 0 {
		c.got, c.total, c.pos, c.header = *m, m.BodySize, 0, c.header[:0]
		return nil
	}
	return c.done(m)
}

// done takes the next message.
func (c *collector) done(m *backend.FetchedMessage) error {
	c.next++
	c.retry.n = 0
	c.stop = c.take(c.next-1, m)
	return c.stop
}

// Body implements backend.FetchSink. Of a header that is larger than may be held, the first part is used.
func (c *collector) Body(p []byte) error {
	if uint64(len(p)) > c.total-c.pos {
		return errTooMuch
	}
	c.pos += uint64(len(p))
	c.header = append(c.header, p[:min(len(p), c.srv.cfg.Fetch.Buffer-len(c.header))]...)
	if c.pos < c.total {
		return c.ctx.Err()
	}
	c.got.HeaderFields = c.header
	return c.done(&c.got)
}
