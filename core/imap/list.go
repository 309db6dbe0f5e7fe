package imap

import (
	"bytes"
	"strings"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/core/imapwire"
)

// LIST (RFC 3501 §6.3.8), extended (RFC 5258 §3) with selection options
// SUBSCRIBED, REMOTE, RECURSIVEMATCH and SPECIAL-USE (RFC 6154 §3), several
// patterns, and return options SUBSCRIBED, CHILDREN, SPECIAL-USE, STATUS
// (RFC 5819 §2), METADATA (RFC 9590 §3) and MYRIGHTS (RFC 8440 §3):
//
//	"LIST" [SP "(" select-options ")"] SP mailbox SP (pattern / "(" pattern *(SP pattern) ")")
//	       [SP "RETURN" SP "(" return-options ")"]
//
// Without extensions the attributes of RFC 3348 and RFC 6154 are returned, as Dovecot does.
func runList(r *request) error {
	o := listOptions{command: "LIST"}
	r.d.SP()
	o.parse(&r.d)
	if err := r.end(); err != nil {
		return err
	}
	return r.list(&o)
}

// LSUB (RFC 3501 §6.3.9) is LIST of subscribed names, and with a % in the pattern of those above them, too, as \Noselect:
// that is what RECURSIVEMATCH finds.
func runLsub(r *request) error {
	r.d.SP()
	reference := r.d.Mailbox()
	r.d.SP()
	pattern := r.d.ListMailbox()
	if err := r.end(); err != nil {
		return err
	}
	return r.list(&listOptions{
		command: "LSUB", reference: reference, patterns: [][]byte{pattern},
		onlySubscribed: true, recursive: bytes.IndexByte(reference, '%') >= 0 || bytes.IndexByte(pattern, '%') >= 0,
	})
}

// listOptions is a parsed LIST or LSUB.
type listOptions struct {
	command   string
	utf8      bool // UTF8=ACCEPT is enabled
	rev2      bool // IMAP4rev2 is enabled
	extended  bool // the syntax of RFC 5258 was used
	reference []byte
	patterns  [][]byte

	onlySubscribed, onlySpecial, recursive bool // selection
	subscribed, children, special          bool // return
	status                                 backend.StatusItems
	metadata                               []string // entries (RFC 9590), nil = not wanted
	rights                                 bool     // RFC 8440
}

func (o *listOptions) parse(d *imapwire.Decoder) {
	if d.Peek() == '(' {
		o.extended = true
		o.parseSelect(d)
		d.SP()
	}
	o.reference = d.Mailbox()
	d.SP()
	if d.Peek() == '(' {
		o.extended = true
		if d.List(func() { o.patterns = append(o.patterns, d.ListMailbox()) }) == 0 {
			d.Fail("empty list of patterns")
		}
	} else {
		o.patterns = [][]byte{d.ListMailbox()}
	}
	o.children, o.special = !o.extended, !o.extended
	if d.TrySP() {
		if !d.TryWord("RETURN") {
			d.Fail("expected RETURN")
		}
		d.SP()
		o.extended, o.children, o.special = true, false, false
		o.parseReturn(d)
	}
	o.subscribed = o.subscribed || o.onlySubscribed // RFC 5258 §3.1: implied
	o.special = o.special || o.onlySpecial
}

func (o *listOptions) parseSelect(d *imapwire.Decoder) {
	d.List(func() {
		switch at := d.Pos(); d.Word() {
		case "SUBSCRIBED":
			o.onlySubscribed = true
		case "SPECIAL-USE":
			o.onlySpecial = true
		case "RECURSIVEMATCH":
			o.recursive = true
		case "REMOTE": // there are none
		default:
			if d.OK() {
				d.FailAt(at, "unknown selection option "+quote(d.Since(at)))
			}
		}
	})
	if o.recursive && !o.onlySubscribed && !o.onlySpecial { // RFC 5258 §3.1
		d.Fail("RECURSIVEMATCH must not be the only selection option")
	}
}

func (o *listOptions) parseReturn(d *imapwire.Decoder) {
	d.List(func() {
		switch at := d.Pos(); d.Word() {
		case "SUBSCRIBED":
			o.subscribed = true
		case "CHILDREN":
			o.children = true
		case "SPECIAL-USE":
			o.special = true
		case "STATUS":
			d.SP()
			o.status = statusItems(d)
		case "MYRIGHTS":
			o.rights = true
		case "METADATA":
			d.SP()
			o.metadata = entryNames(d)
		default:
			if d.OK() {
				d.FailAt(at, "unknown return option "+quote(d.Since(at)))
			}
		}
	})
}

// selects reports whether a name meets the selection options.
func (o *listOptions) selects(m *listed) bool {
	switch {
	case o.onlySubscribed && !m.info.Subscribed:
		return false
	case o.onlySpecial && m.special == "":
		return false
	}
	return o.onlySubscribed || !m.info.NonExistent
}

// list answers LIST and LSUB.
func (r *request) list(o *listOptions) error {
	o.utf8, o.rev2 = r.utf8(), r.enabled(enabledRev2)
	if err := r.srv.offers.refuseStatus(o.status); err != nil {
		return err
	}
	r.statusEnables(o.status)
	if len(o.patterns) == 1 && len(o.patterns[0]) == 0 {
		return r.listRoot(o)
	}
	var patterns []pattern
	for _, raw := range o.patterns {
		if p, ok := newPattern(o.reference, raw, o.utf8); ok {
			patterns = append(patterns, p)
		}
	}
	all, err := r.listed(patterns)
	if err != nil {
		return err
	}
	matched := all.match(patterns, o)
	var status map[*listed]*backend.MailboxStatus
	if o.status != 0 {
		if status, err = r.listStatus(matched, ofStorage(o.status)); err != nil {
			return err
		}
	}
	var metadata map[*listed][]backend.MetadataEntry
	query := backend.MetadataQuery{Entries: o.metadata}
	if o.metadata != nil {
		if metadata, err = r.listMetadata(matched, &query); err != nil {
			return err
		}
	}
	var rights map[*listed]backend.Rights
	if o.rights {
		if rights, err = r.listRights(matched); err != nil {
			return err
		}
	}
	b := r.s.Buffer()
	for _, m := range matched {
		*b = o.append(*b, m)
		if st := status[m]; st != nil { // RFC 5819 §2: after its LIST response
			*b = r.appendStatus(*b, o.sent(m), o.status, st)
		}
		if mine := rights[m]; mine != 0 { // RFC 8440 §3
			*b = r.appendMyRights(*b, o.sent(m), mine)
		}
		if err := r.s.Commit(); err != nil {
			return errNoReply
		}
		if entries, ok := metadata[m]; ok { // RFC 9590 §4
			options := newMetadataOptions()
			if err := r.writeMetadata(o.sent(m), &query, &options, entries); err != nil {
				return err
			}
		}
	}
	return nil
}

// listRoot answers the empty pattern, which asks for the separator and the root
// of the reference (RFC 3501 §6.3.8). The extended form has no such meaning (RFC 5258 §3), nor has LSUB (RFC 3501 §6.3.9).
func (r *request) listRoot(o *listOptions) error {
	if o.extended || o.command == "LSUB" {
		return nil
	}
	reference, _ := decodeName(o.reference, o.utf8)
	root := &listed{ns: r.srv.names.inbox, info: backend.MailboxInfo{NoSelect: true}}
	for _, ns := range r.srv.names.spaces {
		if _, ok := ns.below(reference); ok && ns.Prefix != "" {
			root.ns, root.name = ns, ns.Prefix
			break
		}
	}
	b := r.s.Buffer()
	*b = (&listOptions{command: "LIST", utf8: o.utf8}).append(*b, root)
	return r.s.Commit()
}

// sent returns a name in the form in which the client would send it.
func (o *listOptions) sent(m *listed) []byte {
	if o.utf8 {
		return []byte(m.name)
	}
	return imapwire.AppendUTF7(nil, m.name)
}

// append appends the LIST or LSUB response for a name (RFC 3501 §7.2.2, §7.2.3).
func (o *listOptions) append(b []byte, m *listed) []byte {
	b = append(b, "* "...)
	b = append(b, o.command...)
	b = append(b, " ("...)
	start := len(b)
	if o.command == "LSUB" {
		if m.childInfo && !m.info.Subscribed {
			b = append(b, `\Noselect `...)
		}
		if m.special != "" { // as Dovecot; RFC 6154 §2 speaks of LIST, and forbids it nowhere
			b = append(append(b, m.special...), ' ')
		}
	} else {
		b = o.appendAttributes(b, m)
	}
	if len(b) > start {
		b = b[:len(b)-1]
	}
	b = append(b, ") "...)
	b = imapwire.AppendQuoted(b, m.ns.sep)
	b = append(b, ' ')
	b = appendName(b, m.name, o.utf8)
	if m.childInfo && o.command == "LIST" { // RFC 5258 §3.5
		b = append(b, ` ("CHILDINFO" (`...)
		var options []string
		if o.onlySubscribed {
			options = append(options, `"SUBSCRIBED"`)
		}
		if o.onlySpecial {
			options = append(options, `"SPECIAL-USE"`)
		}
		b = append(append(b, strings.Join(options, " ")...), "))"...)
	}
	return append(b, '\r', '\n')
}

// appendAttributes appends the name's attributes, each followed by a space.
func (o *listOptions) appendAttributes(b []byte, m *listed) []byte {
	put := func(ok bool, attribute string) {
		if ok {
			b = append(append(b, attribute...), ' ')
		}
	}
	put(o.subscribed && m.info.Subscribed, `\Subscribed`)
	put(m.info.NonExistent && (o.extended || o.rev2), `\NonExistent`) // RFC 9051 §7.3.1
	put(m.info.NoSelect || m.info.NonExistent && !o.extended && !o.rev2, `\Noselect`)
	put(m.info.NoInferiors, `\NoInferiors`)
	put(o.children && m.children, `\HasChildren`)
	put(o.children && !m.children && !m.info.NoInferiors && m.name != "", `\HasNoChildren`)
	put(o.special && m.special != "", m.special)
	return b
}

// selectable returns the names that are mailboxes, by namespace.
func selectable(ms []*listed) map[*namespace][]*listed {
	byNamespace := map[*namespace][]*listed{}
	for _, m := range ms {
		if !m.info.NoSelect && !m.info.NonExistent {
			byNamespace[m.ns] = append(byNamespace[m.ns], m)
		}
	}
	return byNamespace
}

// storedNames returns what storage calls mailboxes.
func storedNames(ms []*listed) []string {
	names := make([]string, len(ms))
	for i, m := range ms {
		names[i] = m.info.Name
	}
	return names
}

// listStatus asks for the STATUS of all selectable names, with one call per namespace.
func (r *request) listStatus(ms []*listed, items backend.StatusItems) (map[*listed]*backend.MailboxStatus, error) {
	out := map[*listed]*backend.MailboxStatus{}
	for ns, ms := range selectable(ms) {
		var all []backend.MailboxStatus
		var err error
		if r.during(func() { all, err = r.srv.boxes.Status(r.ctx, r.user(), ns.Name, storedNames(ms), items) }); err != nil {
			return nil, err
		}
		for i := range all {
			if i < len(ms) && all[i].Err == nil { // RFC 5819 §2: no STATUS for what can not be read
				out[ms[i]] = &all[i]
			}
		}
	}
	return out, nil
}

// listMetadata asks for the annotations of all selectable names, with one call per namespace. (RFC 9590 §4: none for a name that does not exist)
func (r *request) listMetadata(ms []*listed, q *backend.MetadataQuery) (map[*listed][]backend.MetadataEntry, error) {
	if r.srv.metadata == nil {
		return nil, bad("Unknown return option METADATA.")
	}
	out := map[*listed][]backend.MetadataEntry{}
	for ns, ms := range selectable(ms) {
		var all []backend.MailboxMetadata
		var err error
		if r.during(func() { all, err = r.srv.metadata.GetMetadata(r.ctx, r.user(), ns.Name, storedNames(ms), *q) }); err != nil {
			return nil, err
		}
		for i := range all {
			if i < len(ms) && all[i].Err == nil {
				out[ms[i]] = all[i].Entries
			}
		}
	}
	return out, nil
}
