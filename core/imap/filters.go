package imap

import (
	"errors"
	"strings"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/core/imapwire"
	"github.com/roostmail/roost/core/mailbox"
)

// FILTERS (RFC 5466): the search key FILTER, which stands for a search program that is kept among the server's
// annotations as /private/filters/values/NAME, else /shared/filters/values/NAME.

// filterRoots begin the entries of filters; the first that is there counts (RFC 5466 §3.2).
var filterRoots = [...]string{"/private/filters/values/", "/shared/filters/values/"}

// Bounds of what one search program may expand to.
const (
	maxFilterDepth = 8  // filters within filters (RFC 5466 §3.1: 3 at least)
	maxFilterCount = 64 // filters in all
)

// filters resolves the names of filters for one search program.
type filters struct {
	load  func(name string) (program string, found bool, err error)
	depth int
	count int
	err   error // what ends the search
}

// filters returns those of the session's user; nil if there can be none.
func (r *request) filters() *filters {
	if r.srv.metadata == nil {
		return nil
	}
	return &filters{load: r.loadFilter}
}

func (r *request) loadFilter(name string) (program string, found bool, err error) {
	q := backend.MetadataQuery{}
	for _, root := range filterRoots {
		q.Entries = append(q.Entries, root+strings.ToLower(name))
	}
	all, err := r.srv.metadata.GetMetadata(r.ctx, r.user(), r.srv.names.inbox.Name, []string{""}, q)
	if err != nil {
		return "", false, err
	}
	if all[0].Err != nil {
		return "", false, all[0].Err
	}
	for _, root := range filterRoots {
		for _, e := range all[0].Entries {
			if strings.HasPrefix(e.Name, root) {
				return string(e.Value), true, nil
			}
		}
	}
	return "", false, nil
}

// undefinedFilter is the answer for a filter that there is not, or that is no search program (RFC 5466 §3.1).
func undefinedFilter(name, why string) error {
	return no("UNDEFINED-FILTER "+name, "Filter "+name+" "+why+".")
}

// filterKey reads SP filter-name, and then what that stands for.
func (p *searchParser) filterKey() searchKey {
	p.d.SP()
	name := string(p.d.Atom())
	if p.d.OK() && !validFilterName(name) {
		p.d.Fail("invalid name of a filter")
	}
	if !p.d.OK() {
		return searchKey{}
	}
	key, text, err := p.filters.expand(p, name)
	if err != nil {
		p.filters.err = err
		p.d.Fail("undefined filter")
		return searchKey{}
	}
	p.frozen = append(p.frozen, frozenSet{at: p.at, end: p.d.Pos(), text: "(" + text + ")"})
	return *key
}

// validFilterName reports whether an atom can name a filter (RFC 5466 §4).
func validFilterName(name string) bool { return name != "" && !strings.ContainsAny(name, "/%*]") }

// expand returns what a filter stands for, as a key and as text.
func (f *filters) expand(p *searchParser, name string) (key *searchKey, text string, err error) {
	if !p.utf8 { // RFC 5466 §3.1
		return nil, "", &response{"BAD", "BADCHARSET (US-ASCII UTF-8)", "FILTER needs the charset UTF-8."}
	}
	if f.count++; f.count > maxFilterCount {
		return nil, "", undefinedFilter(name, "is one of too many")
	}
	if f.depth >= maxFilterDepth { // also a loop
		return nil, "", undefinedFilter(name, "refers to itself, or to too many others")
	}
	program, found, err := f.load(name)
	if err != nil {
		return nil, "", err
	}
	if !found {
		return nil, "", undefinedFilter(name, "doesn't exist")
	}
	f.depth++
	defer func() { f.depth-- }()
	d := imapwire.NewDecoder([]byte(" "+program), imapwire.DefaultLimits)
	inner := searchParser{d: &d, view: p.view, saved: p.saved, filters: f}
	key, err = inner.parse([]byte("UTF-8"))
	var syntax *imapwire.SyntaxError
	if errors.As(err, &syntax) {
		return nil, "", undefinedFilter(name, "is no search criterion: "+err.Error())
	}
	if err != nil {
		return nil, "", err
	}
	return key, inner.text(), nil
}

// checkFilter refuses a filter that could not be used (RFC 5466 §3.2). Others that it refers to need not be there yet.
func checkFilter(entry string, value []byte) error {
	for _, root := range filterRoots {
		name, is := strings.CutPrefix(entry, root)
		if !is || value == nil {
			continue
		}
		d := imapwire.NewDecoder([]byte(" "+name), imapwire.DefaultLimits)
		d.SP()
		if d.Atom(); !d.AtEnd() || !validFilterName(name) {
			return no("CANNOT", "Invalid name of a filter: "+name)
		}
		any := &filters{load: func(string) (string, bool, error) { return "ALL", true, nil }}
		d = imapwire.NewDecoder(append([]byte{' '}, value...), imapwire.DefaultLimits)
		p := searchParser{d: &d, view: &mailbox.View{}, saved: func() msgSet { return msgSet{uid: true} }, filters: any}
		if _, err := p.parse([]byte("UTF-8")); err != nil {
			return no("CANNOT", "Filter is no search criterion: "+err.Error())
		}
	}
	return nil
}
