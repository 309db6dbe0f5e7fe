package imap

import (
	"slices"
	"strconv"
	"strings"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/core/imapwire"
	"github.com/roostmail/roost/core/mailbox"
)

const limitSearchMailboxes = "[limits] search_mailboxes"

// ESEARCH (RFC 7377): [SP "IN" SP sources] [SP "RETURN" SP options] SP search program. It searches several mailboxes, each in the
// state in which it is then; the selected one, in that which the client knows. The answers are of UIDs, and of mailboxes with matches only.
func runESearch(r *request) error {
	args, err := r.parseESearch()
	if err != nil {
		return err
	}
	err = r.esearch(args)
	if err != nil && args.options.save && !isBad(err) { // RFC 5182 §2.1
		r.srv.setResult(r.s, nil)
	}
	return err
}

// esearchArgs is a parsed ESEARCH.
type esearchArgs struct {
	sources  []searchSource
	selected bool // one of these is the selected mailbox
	options  searchReturn
	charset  []byte
	program  imapwire.Decoder // at the search keys, which are parsed for each mailbox
}

// searchSource is a filter-mailboxes (RFC 5465 §6, RFC 7377 §2.2).
type searchSource struct {
	notifyGroup
	one bool // SUBTREE-ONE: the names, and those directly below
}

func (s *searchSource) covers(m *listed) bool {
	if !s.one {
		return s.notifyGroup.covers(m)
	}
	parent := m.name[:max(strings.LastIndex(m.name, m.ns.sep), 0)]
	return slices.Contains(s.names, m.name) || parent != "" && slices.Contains(s.names, parent)
}

// parseESearch reads the command, and checks what does not depend on mailboxes (RFC 7377 §2.2).
func (r *request) parseESearch() (*esearchArgs, error) {
	a := &esearchArgs{}
	before := r.d
	if r.d.SP(); r.d.TryWord("IN") {
		r.d.SP()
		if r.d.List(func() { a.source(r) }) == 0 {
			r.d.Fail("empty list of mailboxes")
		}
	} else {
		r.d = before
		a.selected = true
	}
	a.options = parseSearchReturn(&r.d)
	if !a.options.extended { // RFC 7377 §2.1
		a.options.extended, a.options.all = true, true
	}
	if err := r.refuseCharset(); err != nil {
		return nil, err
	}
	a.charset = parseCharset(&r.d)
	a.program = r.d
	nothing := searchParser{d: &r.d, view: &mailbox.View{}, saved: func() msgSet { return msgSet{uid: true} }, filters: r.filters()}
	key, err := nothing.parse(a.charset)
	switch {
	case err != nil:
		return nil, err
	case a.selected && r.st.Proto != stateSelected:
		return nil, bad("No mailbox selected.")
	case a.options.update && r.st.Proto != stateSelected:
		return nil, bad("UPDATE needs a selected mailbox.")
	case a.options.save && (!a.selected || len(a.sources) > 0):
		return nil, bad("SAVE is for the selected mailbox only.")
	}
	if err := a.options.check(r); err != nil {
		return nil, err
	}
	return a, r.admitSearch(key)
}

// source reads one filter-mailboxes.
func (a *esearchArgs) source(r *request) {
	at := r.d.Pos()
	word := r.d.Word()
	s := searchSource{one: word == "SUBTREE-ONE"}
	filter, ok := notifyFilters[word]
	switch {
	case s.one:
		filter = filterSubtree
	case !ok || filter == filterDelayed:
		if r.d.OK() {
			r.d.FailAt(at, "unknown mailbox filter "+quote(r.d.Since(at)))
		}
		return
	case filter == filterSelected:
		a.selected = true
		return
	}
	s.filter = filter
	if filter == filterSubtree || filter == filterMailboxes {
		r.d.SP()
		r.mailboxNames(&s.notifyGroup)
	}
	a.sources = append(a.sources, s)
}

// mailboxesOf returns the mailboxes that are searched, the selected one first.
func (r *request) mailboxesOf(a *esearchArgs) ([]*listed, error) {
	patterns := []pattern{"*"}
	for _, s := range a.sources {
		for _, name := range s.names {
			patterns = append(patterns, pattern(name))
		}
	}
	l, err := r.listed(patterns)
	if err != nil {
		return nil, err
	}
	var found []*listed
	for _, m := range l.all {
		covered := func(s searchSource) bool { return s.covers(m) }
		switch {
		case m.info.NoSelect || m.info.NonExistent:
		case a.selected && r.isSelected(m):
			found = slices.Insert(found, 0, m)
		case slices.ContainsFunc(a.sources, covered):
			found = append(found, m)
		}
	}
	if most := r.srv.cfg.SearchMailboxes; most > 0 && len(found) > most { // RFC 7377 §2.4
		return nil, no("LIMIT", "More mailboxes than "+limitSearchMailboxes+" = "+strconv.Itoa(most)+".")
	}
	return found, nil
}

// esearch searches one mailbox after the other. One that cannot be opened is passed over if it is gone, or the user must not know of it; else it fails
// the command when all are done.
func (r *request) esearch(a *esearchArgs) (outcome error) {
	if r.st.Proto == stateSelected {
		if err := r.pinSelected(); err != nil {
			return err
		}
	}
	boxes, err := r.mailboxesOf(a)
	if err != nil {
		return err
	}
	p := r.newProgress(0)
	for _, m := range boxes {
		p.at(0)
		err := r.searchMailbox(a, m, p)
		switch kind := kindOf(err); {
		case err == nil, kind == backend.KindNotFound, kind == backend.KindNoPermission:
		case kind == backend.KindCancelled, r.s.Err() != nil:
			return err
		default:
			r.logError(err)
			outcome = errorsOf(outcome, err)
		}
	}
	return outcome
}

// kindOf is backend.KindOf, for nil too.
func kindOf(err error) backend.ErrorKind {
	if err == nil {
		return backend.KindInternal
	}
	return backend.KindOf(err)
}

// searchMailbox searches one mailbox, and answers.
func (r *request) searchMailbox(a *esearchArgs, m *listed, p *progress) error {
	box, view := r.mbox, r.view
	selected := r.isSelected(m)
	if !selected {
		ref := backend.MailboxRef{User: r.user(), Namespace: m.ns.Name, Name: m.info.Name}
		var err error
		if box, view, err = r.srv.boxes.Open(r.ctx, ref); err != nil {
			return err
		}
		defer box.Close(view.Version)
	}
	d := a.program
	parser := searchParser{d: &d, view: view, saved: func() msgSet { return msgSet{uid: true} }, filters: r.filters()}
	if selected {
		parser.saved = r.savedResult
	}
	key, err := parser.parse(a.charset)
	if err != nil {
		return err
	}
	s := r.srv.newSearch(r.ctx, view, box.Ref(), key)
	s.breathe, s.steps, s.progress = r.s.Breathe, uint64(view.Len()), p
	if selected {
		s.recent = r.recent(view)
	}
	if err := s.run(); err != nil {
		return err
	}
	outcome := s.failures.outcome("searched")
	result := s.result(a.options, true)
	if selected && outcome == nil && a.options.save {
		outcome = r.saveResult(result.saved)
	}
	if result.count > 0 { // RFC 7377 §2.1
		result.mailbox = appendName(nil, m.name, r.utf8())
		result.uidValidity = view.UIDValidity
		outcome = errorsOf(result.write(r.s, r.tag, true), outcome)
	}
	if selected && outcome == nil && a.options.update {
		r.openContext(s, searchContext{charset: string(a.charset), program: parser.text(), uid: true}, a.options)
	}
	return outcome
}
