package imap

import (
	"cmp"
	"slices"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/core/imapwire"
	"github.com/roostmail/roost/core/mailbox"
	"github.com/roostmail/roost/core/message"
)

// THREAD and UID THREAD (RFC 5256 §3): SP algorithm SP charset SP search keys.
//
//	thread_subject.go     ORDEREDSUBJECT
//	thread_links.go       who answers whom: REFERENCES, step 1
//	thread_references.go  REFERENCES, the other steps
//	thread_refs.go        REFS
//	thread_answer.go      the response
//
// As for SORT, what matches is found as SEARCH does, and no body is read for what threads are made of.
func runThread(r *request) error {
	r.d.SP()
	at := r.d.Pos()
	name := r.d.Word()
	algorithm := threadAlgorithms[name]
	if algorithm == nil && r.d.OK() {
		r.d.FailAt(at, "unknown thread algorithm "+quote(r.d.Since(at)))
	}
	r.d.SP()
	_, key, err := r.parseProgram(r.d.AString())
	if err != nil {
		return err
	}
	s, err := r.find(key)
	if err != nil {
		return err
	}
	about := aboutThreads(name, r.cmd.uid)
	var text []byte
	err = s.once(about, s.keepsThreads(s.count()), func(f *mailbox.Finding) bool {
		text = f.Text
		return s.threadsOf(f)
	}, func() error {
		t := &thread{search: s, uid: r.cmd.uid, messages: make([]threadMessage, 0, s.count())}
		for m := range s.matches() {
			t.messages = append(t.messages, threadMessage{Message: m})
		}
		if err := algorithm(t); err != nil {
			return err
		}
		text = t.answer(nil)
		t.keepThreads(about, text)
		return nil
	})
	if err != nil {
		return err
	}
	return errorsOf(s.failures.outcome("searched"), writeText(r.s, text))
}

// writeText writes responses that are ready, in pieces.
func writeText(out output, text []byte) error {
	for len(text) > 0 {
		n := min(fetchFlush, len(text))
		b := out.Buffer()
		*b = append(*b, text[:n]...)
		if err := out.Commit(); err != nil {
			return gone(err)
		}
		text = text[n:]
	}
	return nil
}

// threadAlgorithms make t.forest (RFC 5256 §3; REFS is Dovecot's).
var threadAlgorithms = map[string]func(t *thread) error{
	"ORDEREDSUBJECT": (*thread).orderedSubject,
	"REFERENCES":     (*thread).references,
	"REFS":           (*thread).refs,
}

// thread is a THREAD while it runs.
type thread struct {
	*search
	uid      bool
	messages []threadMessage
	links    *threadLinks // nil: they are not needed
	subjects bool         // these are needed
	none     []int        // messages without a date
	bytes    int          // of message IDs and subjects
	base     []byte       // the last base subject, for its memory
	forest   forest
}

// threadMessage is a message that was found.
type threadMessage struct {
	mailbox.Message
	came    bool
	date    int64  // when it was sent, else received
	subject string // base subject
	reply   bool   // the subject says that it is a reply or forward
}

// wants implements columns.
func (t *thread) wants() (backend.FetchItems, []string) {
	fields := []string{"DATE"}
	if t.subjects {
		fields = append(fields, "SUBJECT")
	}
	if t.links != nil {
		fields = append(fields, "MESSAGE-ID", "REFERENCES", "IN-REPLY-TO")
	}
	return 0, fields
}

// add implements columns.
func (t *thread) add(i int, f *backend.FetchedMessage) error {
	m := &t.messages[i]
	if m.came = f.Err == nil || f.Err.Kind != backend.KindExpunged; !m.came {
		return nil
	}
	h := readThreadHeader(f.HeaderFields)
	date, _ := message.ParseDate(h.date.Value)
	if m.date = date.Unix; m.date == 0 && f.Err == nil {
		t.none = append(t.none, i)
	}
	if t.subjects && h.subject.Raw != nil {
		t.base, m.reply = message.AppendBaseSubject(t.base[:0], h.subject)
		m.subject = string(t.base)
		t.bytes += len(t.base)
	}
	if t.links != nil {
		t.bytes += t.links.add(i, &h)
	}
	if most := t.srv.cfg.SortMemory; most > 0 && t.bytes > most {
		return errSortMemory(most)
	}
	return nil
}

// threadHeader are the fields that threads are made of; those that a message does not have are zero.
type threadHeader struct{ date, subject, id, references, inReplyTo message.Field }

// readThreadHeader returns the first field of each name.
func readThreadHeader(header []byte) (h threadHeader) {
	for f, rest, ok := message.NextField(header); ok; f, rest, ok = message.NextField(rest) {
		for _, want := range [...]struct {
			name string
			to   *message.Field
		}{{"Date", &h.date}, {"Subject", &h.subject}, {"Message-ID", &h.id}, {"References", &h.references}, {"In-Reply-To", &h.inReplyTo}} {
			if want.to.Raw == nil && f.Named(want.name) {
				*want.to = f
				break
			}
		}
	}
	return h
}

// undated implements columns.
func (t *thread) undated() []int { return t.none }

// date implements columns.
func (t *thread) date(i int, internalDate int64) { t.messages[i].date = internalDate }

// collect reads what threads are made of. Messages that were expunged meanwhile are left out.
func (t *thread) collect() error {
	found := make([]mailbox.Message, len(t.messages))
	for i := range t.messages {
		found[i] = t.messages[i].Message
	}
	return t.search.collect(found, t)
}

// older compares messages by their date, then by their number (RFC 5256 §2.2).
func (t *thread) older(a, b int) int {
	return cmp.Or(cmp.Compare(t.messages[a].date, t.messages[b].date), cmp.Compare(a, b))
}

// number returns the number that the client knows message i by.
func (t *thread) number(i int) uint64 {
	if t.uid {
		return uint64(t.messages[i].UID)
	}
	return uint64(t.messages[i].Seq)
}

// noMessage is the message of a dummy.
const noMessage = -1

// forest are threads as they are answered, with nodes numbered from 0.
type forest struct {
	nodes []forestNode
	roots []int
}

type forestNode struct {
	message     int // noMessage: a dummy
	first, next int // the first child, and the next one of the same parent, in no order; none = none
}

// none is no node.
const none = -1

// plant adds a node without children.
func (f *forest) plant(message int) (node int) {
	f.nodes = append(f.nodes, forestNode{message, none, none})
	return len(f.nodes) - 1
}

// attach makes child, which is nobody's, one of parent's.
func (f *forest) attach(parent, child int) {
	f.nodes[child].next = f.nodes[parent].first
	f.nodes[parent].first = child
}

// children returns those of a node, the oldest first.
func (t *thread) children(node int) []int {
	f := &t.forest
	var list []int
	for c := f.nodes[node].first; c != none; c = f.nodes[c].next {
		list = append(list, c)
	}
	if len(list) > 1 {
		slices.SortFunc(list, func(a, b int) int { return t.older(f.nodes[a].message, f.nodes[b].message) })
	}
	return list
}

var _ columns = (*thread)(nil)
var _ columns = (*sortKeys)(nil)

// appendNumber appends the number of a message.
func (t *thread) appendNumber(b []byte, message int) []byte {
	return imapwire.AppendNumber(b, t.number(message))
}
