package imap

import (
	"encoding/binary"
	"slices"
	"sort"
	"strconv"

	"github.com/roostmail/roost/core/imapwire"
	"github.com/roostmail/roost/core/session"
)

// A context is a SEARCH or SORT with RETURN (UPDATE), whose client is told how the result changes (RFC 5267 §4.3): CONTEXT=SEARCH and
// CONTEXT=SORT. It is kept with the session as text, and the result as UIDs, at the session's version of the mailbox; nothing of it
// is awake between two commands. context_update.go brings it to another version.
type searchContext struct {
	tag      string // of the command
	uid      bool   // the command was UID SEARCH or UID SORT
	fetch    string // items that are sent of new messages that match, in parentheses (RFC 5465 §6); "" = none
	criteria string // of SORT, in parentheses; "" = SEARCH
	charset  string
	program  string              // search keys, in which sequence numbers are UIDs (searchParser.text)
	found    []imapwire.NumRange // of SEARCH: UIDs
	order    []uint32            // of SORT: UIDs
}

const (
	limitContexts     = "[limits] contexts"
	limitContextBytes = "[limits] context_bytes"
)

func (c *searchContext) sorted() bool { return c.criteria != "" }

// parse parses the criteria and the program, within the limits of commands.
func (c *searchContext) parse(p *searchParser, lim imapwire.Limits) (*searchKey, []sortCriterion, error) {
	d := imapwire.NewDecoder([]byte(c.criteria+" "+c.program+"\r\n"), lim)
	var criteria []sortCriterion
	if c.sorted() {
		criteria = parseSortCriteria(&d)
	}
	p.d = &d
	key, err := p.parse([]byte(c.charset))
	return key, criteria, err
}

// has reports whether a message of a SEARCH is in the result.
func (c *searchContext) has(uid uint32) bool {
	i := sort.Search(len(c.found), func(i int) bool { return c.found[i].Stop >= uid })
	return i < len(c.found) && c.found[i].Start <= uid
}

// appendContexts appends the byte form of contexts: uvarints and strings with their lengths. UIDs of SORT are differences to the one before, with sign.
func appendContexts(b []byte, list []searchContext) []byte {
	for i := range list {
		c := &list[i]
		flags := uint64(0)
		if c.uid {
			flags = 1
		}
		b = binary.AppendUvarint(b, flags)
		for _, s := range [...]string{c.tag, c.fetch, c.criteria, c.charset, c.program} {
			b = append(binary.AppendUvarint(b, uint64(len(s))), s...)
		}
		var uids []byte
		if c.sorted() {
			last := int64(0)
			for _, u := range c.order {
				uids = binary.AppendVarint(uids, int64(u)-last)
				last = int64(u)
			}
		} else {
			uids = appendResult(nil, c.found)
		}
		b = append(binary.AppendUvarint(b, uint64(len(uids))), uids...)
	}
	return b
}

// decodeContexts is the inverse of appendContexts. ok is false for what can not have come from there.
func decodeContexts(b []byte) (list []searchContext, ok bool) {
	next := func() string {
		n, k := binary.Uvarint(b)
		if k <= 0 || n > uint64(len(b)-k) {
			b, ok = nil, false
			return ""
		}
		s := string(b[k : k+int(n)])
		b = b[k+int(n):]
		return s
	}
	for ok = true; ok && len(b) > 0; {
		flags, k := binary.Uvarint(b)
		if k <= 0 || flags > 1 {
			return nil, false
		}
		b = b[k:]
		c := searchContext{uid: flags == 1, tag: next(), fetch: next(), criteria: next(), charset: next(), program: next()}
		uids := []byte(next())
		if ok && c.sorted() {
			c.order, ok = decodeOrder(uids)
		} else if ok {
			c.found, ok = decodeResult(uids)
		}
		list = append(list, c)
	}
	return list, ok
}

func decodeOrder(b []byte) (uids []uint32, ok bool) {
	last := int64(0)
	for len(b) > 0 {
		d, k := binary.Varint(b)
		if last += d; k <= 0 || last < 1 || last > 1<<32-1 {
			return nil, false
		}
		uids, b = append(uids, uint32(last)), b[k:]
	}
	return uids, true
}

// contextsOf returns those of the session.
func contextsOf(s *session.Session) []searchContext {
	if x, _ := s.Extra().(*extra); x != nil && x.contexts != nil {
		list, _ := decodeContexts(x.contexts)
		return list
	}
	return nil
}

// setContexts sets those of the session.
func (srv *Server) setContexts(s *session.Session, list []searchContext) {
	if len(list) == 0 && s.Extra() == nil {
		return
	}
	change(s, func(x *extra) { x.contexts = appendContexts(nil, list) })
}

// tagInUse reports whether there is a context with the command's tag (RFC 5267 §4.3: it must not be used again).
func (r *request) tagInUse() bool {
	return slices.ContainsFunc(contextsOf(r.s), func(c searchContext) bool { return c.tag == string(r.tag) })
}

// openContext keeps what s has found as a context, or says that it does not (RFC 5267 §4.3.1).
func (r *request) openContext(s *search, c searchContext, options searchReturn) {
	c.tag, c.uid, c.fetch = string(r.tag), c.uid || r.cmd.uid, options.fetch
	for m := range s.matches() {
		if c.sorted() {
			c.order = append(c.order, uint32(m.UID))
		} else {
			c.found = addNumber(c.found, uint32(m.UID))
		}
	}
	list := append(contextsOf(r.s), c)
	limit := ""
	switch {
	case r.srv.cfg.Contexts > 0 && len(list) > r.srv.cfg.Contexts:
		limit = limitContexts + " = " + strconv.Itoa(r.srv.cfg.Contexts)
		r.srv.contextsRefused.Hit(r.s, limitContexts, "user", r.user().Name)
	case r.srv.cfg.ContextBytes > 0 && len(appendContexts(nil, list)) > r.srv.cfg.ContextBytes:
		limit = limitContextBytes + " = " + strconv.Itoa(r.srv.cfg.ContextBytes)
		r.srv.contextsRefused.Hit(r.s, limitContextBytes, "user", r.user().Name)
	default:
		r.srv.setContexts(r.s, list)
		return
	}
	r.noUpdate(c.tag, "Too many contexts ("+limit+").")
}

// noUpdate says that a context gets no updates (any more).
func (r *request) noUpdate(tag, text string) {
	b := r.s.Buffer()
	*b = append(*b, "* NO [NOUPDATE "...)
	*b = append(imapwire.AppendQuoted(*b, []byte(tag)), "] "...)
	*b = append(imapwire.AppendText(*b, text), '\r', '\n')
	r.s.Commit()
}
