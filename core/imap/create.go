package imap

import "github.com/roostmail/roost/core/backend"

// CREATE (RFC 3501 §6.3.3): SP mailbox [SP "(" parameters ")"] (RFC 4466 §2.2), with the parameter USE (RFC 6154 §3). A hierarchy separator at the end declares that there will be
// mailboxes below, which is no news to any storage: the name is the one without it.
func runCreate(r *request) error {
	r.d.SP()
	raw := r.d.Mailbox()
	var uses []string
	unknown := ""
	if r.srv.metadata != nil && r.d.TrySP() {
		uses, unknown = useParameter(&r.d)
	}
	if err := r.end(); err != nil {
		return err
	}
	if unknown != "" {
		return errUse(unknown)
	}
	ref, err := r.newRef(raw, true)
	if err != nil {
		return err
	}
	named := r.naming(ref.Namespace, ref.Name, "")
	err = r.srv.writer.CreateMailbox(r.ctx, ref)
	named(err == nil)
	if err != nil {
		return err
	}
	r.respelled(ref, raw, raw, "")
	if len(uses) > 0 {
		if err := r.giveUses(ref, uses); err != nil {
			return err
		}
	}
	r.srv.boxes.Renamed(ref, false)
	r.srv.boxes.Named(ref, backend.ChangeCreated, "")
	if r.srv.offers.objectID {
		r.tellMailboxID(ref)
	}
	return nil
}
