package imap

import (
	"bytes"
	"slices"
	"strings"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/core/imapwire"
)

// SETMETADATA (RFC 5464 §4.3): SP mailbox SP "(" entry SP value *(SP entry SP value) ")". NIL removes an entry; if one value can not be set,
// none is.
func runSetMetadata(r *request) error {
	r.d.SP()
	raw := r.d.Mailbox()
	r.d.SP()
	var changes []backend.MetadataEntry
	r.d.List(func() {
		name := entryName(&r.d)
		r.d.SP()
		value := metadataValue(&r.d)
		// Of two values for one entry the last counts.
		changes = slices.DeleteFunc(changes, func(c backend.MetadataEntry) bool { return c.Name == name })
		changes = append(changes, backend.MetadataEntry{Name: name, Value: value})
	})
	if err := r.end(); err != nil {
		return err
	}
	ref, err := r.metadataRef(raw)
	if err != nil {
		return err
	}
	if err := r.checkMetadata(ref.Name == "", changes); err != nil || len(changes) == 0 {
		return err
	}
	annotated := r.annotating(ref, changes)
	err = r.srv.metadata.SetMetadata(r.ctx, ref, changes)
	annotated(err == nil)
	if err != nil {
		if backend.KindOf(err) == backend.KindLimit {
			return no("METADATA TOOMANY", responseOf(err).text)
		}
		return err
	}
	if ref.Name == "" { // the server's are among those of INBOX
		ref.Name = "INBOX"
	}
	r.wrote(ref, backend.ChangeMetadata) // its HIGHESTMODSEQ is another one
	return nil
}

// metadataValue reads a value (RFC 5464 §5: nstring / literal8), or as Dovecot does an atom; nil for NIL.
func metadataValue(d *imapwire.Decoder) []byte {
	switch d.Peek() {
	case '~':
		return append([]byte{}, d.Literal8()...)
	case '"', '{':
		return append([]byte{}, d.String()...)
	}
	if d.TryWord("NIL") {
		return nil
	}
	return slices.Clone(d.Atom())
}

// checkMetadata refuses what can not be set of a mailbox, or of the server.
func (r *request) checkMetadata(server bool, changes []backend.MetadataEntry) error {
	for i, c := range changes {
		if c.Name == specialUseEntry && !server && c.Value != nil {
			value, err := checkSpecialUse(c.Value)
			if err != nil {
				return err
			}
			changes[i].Value = value
		}
		if most := r.srv.cfg.MetadataValue; most > 0 && len(c.Value) > most {
			code := imapwire.AppendNumber([]byte("METADATA MAXSIZE "), uint64(most))
			return no(string(code), "Value of "+c.Name+" is too large ("+limitMetadataValue+").")
		}
		if bytes.IndexByte(c.Value, 0) >= 0 {
			return no("CANNOT", "Attribute string value has NULs")
		}
		if server {
			if err := checkFilter(c.Name, c.Value); err != nil {
				return err
			}
		}
		readOnly := server && c.Name == "/shared/admin" // RFC 5464 §6.2.2
		if readOnly || strings.Count(c.Name, "/") < 2 { // "/private" alone
			return no("CANNOT", "The "+c.Name+" attribute cannot be changed")
		}
	}
	return nil
}
