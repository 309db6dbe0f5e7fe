package imap

import "github.com/roostmail/roost/core/backend"

// DELETE (RFC 3501 §6.3.4): SP mailbox. Sessions that have the mailbox selected, also this one, end with their next command.
func runDelete(r *request) error {
	raw, err := r.onlyMailbox()
	if err != nil {
		return err
	}
	ref, err := r.ref(raw)
	if err != nil {
		return err
	}
	if ref.Name == "INBOX" && ref.Namespace == r.srv.names.inbox.Name {
		return no("CANNOT", "INBOX can't be deleted.")
	}
	named := r.naming(ref.Namespace, ref.Name, "")
	r.during(func() { err = r.srv.writer.DeleteMailbox(r.ctx, ref) })
	named(err == nil)
	if err != nil {
		return err
	}
	r.respelled(ref, raw, raw, `\NonExistent`)
	r.renamed(ref, false)
	r.srv.boxes.Named(ref, backend.ChangeDeleted, "")
	return nil
}
