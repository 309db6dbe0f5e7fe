package imap

import (
	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/core/imapwire"
)

// GETMETADATA (RFC 5464 §4.2): [SP options] SP mailbox SP entries. The RFC's examples have the options behind the
// mailbox; both are understood.
func runGetMetadata(r *request) error {
	o := newMetadataOptions()
	r.d.SP()
	if r.d.Peek() == '(' {
		o.parse(&r.d)
		r.d.SP()
	}
	raw := r.d.Mailbox()
	r.d.SP()
	if before := r.d; r.d.Peek() == '(' {
		behind := newMetadataOptions()
		if behind.parse(&r.d); r.d.OK() && r.d.TrySP() {
			o = behind
		} else {
			r.d = before
		}
	}
	q := backend.MetadataQuery{Entries: entryNames(&r.d), Depth: o.depth}
	if err := r.end(); err != nil {
		return err
	}
	ref, err := r.metadataRef(raw)
	if err != nil {
		return err
	}
	all, err := r.srv.metadata.GetMetadata(r.ctx, ref.User, ref.Namespace, []string{ref.Name}, q)
	if err != nil {
		return err
	}
	if all[0].Err != nil {
		return all[0].Err
	}
	if err := r.writeMetadata(raw, &q, &o, all[0].Entries); err != nil {
		return err
	}
	if o.longest > 0 {
		r.ok.code = string(imapwire.AppendNumber([]byte("METADATA LONGENTRIES "), o.longest))
	}
	return nil
}
