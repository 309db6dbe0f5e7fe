package imap

import (
	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/core/mailbox"
)

// storeArgs is what follows the message set of a STORE command.
type storeArgs struct {
	change         mailbox.FlagChange
	silent         bool
	unchangedSince uint64
	conditional    bool // there is an unchangedSince
}

// storeItems are the data items of STORE (RFC 3501 §6.4.6), behind their sign.
var storeItems = map[string]bool{"FLAGS": false, "FLAGS.SILENT": true}

// parseStore reads SP [modifiers SP] item SP flags (RFC 3501 §9: store; RFC 7162 §7: store-modifier).
func (r *request) parseStore() (*storeArgs, error) {
	d := &r.d
	a := &storeArgs{unchangedSince: backend.AnyModSeq}
	d.SP()
	if d.Peek() == '(' {
		d.List(func() {
			if name := d.Name(); name != "UNCHANGEDSINCE" {
				d.Failf("unknown STORE modifier %.40q", name)
				return
			}
			d.SP()
			a.unchangedSince, a.conditional = d.Number64(), true
		})
		d.SP()
	}
	switch {
	case d.TryByte('+'):
		a.change.Mode = backend.StoreAdd
	case d.TryByte('-'):
		a.change.Mode = backend.StoreRemove
	}
	at := d.Pos()
	name := d.Name()
	silent, ok := storeItems[name]
	if !ok {
		d.FailAt(at, "unknown STORE item "+quote(d.Since(at)))
	}
	a.silent = silent
	d.SP()
	a.change.System, a.change.Keywords = r.storeFlags()
	if err := errorsOf(r.end(), r.checkKeywords(a.change.Keywords)); err != nil {
		return nil, err
	}
	spellAs(r.mbox.Current(), a.change.Keywords)
	return a, nil
}

// storeFlags reads a list of flags, or flags without parentheses (RFC 3501 §9: store-att-flags).
func (r *request) storeFlags() (flags uint8, keywords []string) {
	if r.d.Peek() == '(' {
		return r.storedFlags()
	}
	flags, keywords = r.storedFlag(0, nil)
	for r.d.OK() && !r.d.AtEnd() {
		r.d.SP()
		flags, keywords = r.storedFlag(flags, keywords)
	}
	return flags, keywords
}
