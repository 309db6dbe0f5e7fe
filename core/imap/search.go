package imap

import (
	"context"
	"strings"

	"github.com/emersion/go-imap/v2"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/core/mailbox"
	"github.com/roostmail/roost/core/message"
)

// SEARCH and UID SEARCH (RFC 3501 §6.4.4, §6.4.8; MODSEQ: RFC 7162 §3.1.5): [SP "RETURN" SP options] search program.
//
//	search_return.go  RETURN and the ESEARCH response (RFC 4731)
//	search_save.go    the saved result, "$" (RFC 5182)
//	search_key.go     the search program
//	search_parse.go   its grammar
//	search_match.go   what a key is worth for a message
//	search_answer.go  the SEARCH response
//	search_collect.go what SORT and THREAD need of what was found
//	context.go        searches that are kept up to date (RFC 5267)
//	esearch.go        searches of several mailboxes (RFC 7377)
//
// What the view knows is compared first; then come sizes and dates, header fields, and bodies, one call of storage
// each, and each only for messages that are not decided by then.
func runSearch(r *request) error {
	options := parseSearchReturn(&r.d)
	if r.enabled(enabledRev2) && !options.extended { // RFC 9051 §6.4.4: as if RETURN (ALL) were there
		options.extended, options.all = true, true
	}
	err := r.search(options)
	if err != nil && options.save && !isBad(err) { // RFC 5182 §2.1
		r.srv.setResult(r.s, nil)
	}
	return err
}

// search runs the command behind its options.
func (r *request) search(options searchReturn) error {
	if err := r.refuseCharset(); err != nil {
		return err
	}
	charset := parseCharset(&r.d)
	p, key, err := r.parseProgram(charset)
	if err == nil {
		err = options.check(r)
	}
	if err != nil {
		return err
	}
	if !options.update {
		r.limitSearch(key)
	}
	s, err := r.find(key)
	if err != nil {
		return err
	}
	return r.answerSearch(s, options, "SEARCH", searchContext{charset: string(charset), program: p.text()})
}

// admitSearch refuses a search that the session may not do, and turns CONDSTORE on for one with MODSEQ (RFC 7162 §3.1).
func (r *request) admitSearch(key *searchKey) error {
	if r.enabled(enabledUIDOnly) && key.hasNumbers() {
		return errUIDRequired
	}
	if err := r.srv.offers.refuseSearch(key); err != nil {
		return err
	}
	if key.hasModSeq() {
		if err := r.needModSeqs(); err != nil {
			return err
		}
		r.enableCondstore()
	}
	return nil
}

// find does the search of SEARCH, SORT and THREAD. An error is one without result; what could not be read is in failures.
func (r *request) find(key *searchKey) (*search, error) {
	if err := r.admitSearch(key); err != nil {
		return nil, err
	}
	s := r.srv.newSearch(r.ctx, r.view, r.mbox.Ref(), key)
	s.box, s.recent, s.breathe, s.wait = r.mbox, r.recent(r.view), r.s.Breathe, r.await
	s.steps = uint64(r.view.Len())
	s.progress = r.newProgress(s.steps)
	if s.progress != nil && !strings.HasSuffix(r.cmd.name, "SEARCH") {
		s.progress.total *= 2 // and as much for what they need of each message
	}
	return s, s.run()
}

// answerSearch writes what was found, and saves it if that is wanted. name is that of the response without RETURN.
// c is what else a context needs.
func (r *request) answerSearch(s *search, options searchReturn, name string, c searchContext) error {
	outcome := s.failures.outcome("searched")
	if !options.extended {
		return errorsOf(outcome, s.answer(r.s, name, r.cmd.uid))
	}
	result := s.result(options, r.cmd.uid)
	if outcome == nil && options.save {
		outcome = r.saveResult(result.saved)
	}
	err := result.write(r.s, r.tag, r.cmd.uid)
	if outcome == nil && options.update {
		r.openContext(s, c, options)
	}
	return errorsOf(outcome, err)
}

// errorsOf returns the first error.
func errorsOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// search is a SEARCH while it runs: a backend.FetchSink that compares what storage sends.
type search struct {
	ctx   context.Context
	srv   *Server
	view  *mailbox.View
	ref   *backend.MailboxRef
	box   *mailbox.Mailbox // keeps what is found; nil: nothing is kept
	key   *searchKey
	needs searchNeeds
	among []mailbox.SeqRange // the messages that are searched

	recent   mailbox.Recent
	breathe  func()                     // called between messages
	wait     func(done <-chan struct{}) // until something is done, or the command has ended; there if box is
	progress *progress
	steps    uint64 // that the search takes: one for each message

	found   []bool           // by sequence number - 1
	order   []mailbox.SeqNum // of what was found, if it is not that of the mailbox
	pending []uint32         // UIDs of messages that are not decided, ascending
	left    []uint32         // of these: not decided by the current phase either
	phase   searchPhase
	next    int // pending before this index are done with in this phase

	facts facts  // of the message that is being received
	total uint64 // bytes of its body
	pos   uint64 // received of these
	whole bool   // they are the whole message
	body  []byte

	retry    retry
	failures failures
}

func (srv *Server) newSearch(ctx context.Context, v *mailbox.View, ref *backend.MailboxRef, key *searchKey) *search {
	s := &search{ctx: ctx, srv: srv, view: v, recent: v.Unclaimed(), breathe: func() {}, ref: ref, key: key, among: v.All(), retry: srv.newRetry(), failures: srv.newFailures(ref)}
	key.order()
	key.uses(&s.needs)
	s.found = make([]bool, v.Len())
	return s
}

// checkEvery is how many messages are compared before the search looks whether it is still wanted.
const checkEvery = 1024

// run decides all messages.
func (s *search) run() error {
	f := facts{view: s.view, recent: s.recent}
	for m := range s.view.Messages(s.among) {
		if m.Seq%checkEvery == 0 {
			if s.ctx.Err() != nil {
				return s.ctx.Err()
			}
			s.breathe()
			s.progress.at(uint64(m.Seq) - uint64(len(s.pending)))
		}
		f.msg = m
		switch s.key.eval(&f) {
		case isTrue:
			s.found[m.Seq-1] = true
		case unknown:
			s.pending = append(s.pending, uint32(m.UID))
		}
	}
	for s.phase = phaseMeta; s.phase < phaseCount && len(s.pending) > 0; s.phase++ {
		if req := s.request(); req != nil {
			if err := s.read(req); err != nil {
				return err
			}
		}
	}
	return nil
}

// request returns what the current phase asks storage for, nil if it has nothing to ask for.
func (s *search) request() *backend.FetchRequest {
	r := &backend.FetchRequest{Mailbox: *s.ref, MailboxID: s.view.MailboxID}
	if s.needs.size {
		r.Items |= backend.FetchSize
	}
	if s.needs.date {
		r.Items |= backend.FetchInternalDate
	}
	if s.needs.saved && s.needs.date {
		r.Items |= backend.FetchSaveDate
	}
	if s.needs.guid {
		r.Items |= backend.FetchGUID
	}
	switch s.phase {
	case phaseMeta:
		if r.Items == 0 {
			return nil
		}
	case phaseHeader:
		if len(s.needs.fields) == 0 {
			return nil
		}
		r.HeaderFields = s.needs.fields
	case phaseBody:
		r.Items |= backend.FetchBody
	}
	return r
}

// read makes the calls of one phase: one, unless storage goes down meanwhile.
func (s *search) read(r *backend.FetchRequest) error {
	s.left, s.next = s.left[:0], 0
	for s.next < len(s.pending) {
		r.UIDs = s.pending[s.next:]
		s.total, s.pos = 0, 0
		err := s.srv.storage.Fetch(s.ctx, r, s)
		if err == nil && s.pos < s.total {
			err = errTooLittle
		}
		if err == nil {
			break // what did not come is gone
		}
		if err = s.retry.again(s.ctx, err); err != nil {
			return err
		}
	}
	s.pending, s.left = s.left, s.pending
	return nil
}

// Message implements backend.FetchSink.
func (s *search) Message(m *backend.FetchedMessage) error {
	if err := s.ctx.Err(); err != nil {
		return err
	}
	s.breathe()
	s.progress.at(s.steps - uint64(len(s.pending)-s.next+len(s.left)))
	for s.next < len(s.pending) && s.pending[s.next] < m.UID {
		s.next++
	}
	if s.next == len(s.pending) || s.pending[s.next] != m.UID {
		return errNotAsked
	}
	if m.Err != nil {
		switch {
		case m.Err.Kind == backend.KindLimit && s.phase < phaseBody: // too much for one answer: the text comes piece by piece
			s.left = append(s.left, m.UID)
		case m.Err.Kind != backend.KindExpunged:
			s.failures.add(m.UID, m.Err)
		}
		s.next++
		return nil
	}
	msg, _ := s.view.Message(s.view.Seq(imap.UID(m.UID)))
	s.facts = facts{view: s.view, recent: s.recent, msg: msg, read: s.phase, size: m.Size, date: m.InternalDate, saved: m.SaveDate, guid: m.GUID, header: m.HeaderFields, limits: s.srv.cfg.Fetch.Parts}
	s.total, s.pos, s.body = m.BodySize, 0, s.body[:0]
	s.whole = s.phase == phaseBody || m.BodyIsMessage
	if s.total == 0 {
		s.decide()
	}
	return nil
}

// Body implements backend.FetchSink. Of a message that is larger than may be held, the first part is searched.
func (s *search) Body(p []byte) error {
	if uint64(len(p)) > s.total-s.pos {
		return errTooMuch
	}
	s.pos += uint64(len(p))
	room := s.srv.cfg.Fetch.Buffer - len(s.body)
	s.body = append(s.body, p[:min(len(p), room)]...)
	if s.pos == s.total {
		if s.total > uint64(len(s.body)) {
			s.srv.log.Warn("only a part of a message was searched ([limits] fetch_buffer)", "user", s.ref.User.Name, "mailbox", s.ref.Name, "uid", s.facts.msg.UID, "bytes", s.total)
		}
		s.decide()
	}
	return s.ctx.Err()
}

// decide compares the message that was received.
func (s *search) decide() {
	f := &s.facts
	if s.whole {
		f.read, f.body = phaseBody, s.body
		f.header, _ = message.SplitHeader(s.body)
	}
	switch s.key.eval(f) {
	case isTrue:
		s.found[f.msg.Seq-1] = true
	case unknown:
		s.left = append(s.left, uint32(f.msg.UID))
	}
	s.next++
	s.retry.n = 0
}
