package imap

import "github.com/roostmail/roost/core/backend"

// SUBSCRIBE and UNSUBSCRIBE (RFC 3501 §6.3.6, §6.3.7): SP mailbox. The mailbox need not exist.
func runSubscribe(r *request) error {
	raw, err := r.onlyMailbox()
	if err != nil {
		return err
	}
	ref, err := r.ref(raw)
	if err != nil {
		return err
	}
	named := r.naming(ref.Namespace, ref.Name, "")
	err = r.srv.writer.Subscribe(r.ctx, ref, r.cmd.name == "SUBSCRIBE")
	named(err == nil)
	if err == nil {
		kind := backend.ChangeUnsubscribed
		if r.cmd.name == "SUBSCRIBE" {
			kind = backend.ChangeSubscribed
		}
		r.srv.boxes.Named(ref, kind, "")
	}
	return err
}
