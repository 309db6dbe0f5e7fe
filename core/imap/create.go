package imap

// CREATE (RFC 3501 §6.3.3): SP mailbox. A hierarchy separator at the end declares that there will be
// mailboxes below, which is no news to any storage: the name is the one without it.
func runCreate(r *request) error {
	raw, err := r.onlyMailbox()
	if err != nil {
		return err
	}
	ref, err := r.newRef(raw, true)
	if err != nil {
		return err
	}
	if err := r.srv.writer.CreateMailbox(r.ctx, ref); err != nil {
		return err
	}
	r.srv.boxes.Renamed(ref, false)
	r.named(ref.Namespace, ref.Name, "")
	if r.srv.offers.objectID {
		r.tellMailboxID(ref)
	}
	return nil
}
