package imap

// CLOSE (RFC 3501 §6.4.2) and UNSELECT (RFC 3691 §2). The mailbox is read-only,
// so CLOSE expunges nothing either.
func quickUnselect(r *request) (bool, error) {
	if err := r.end(); err != nil {
		return true, err
	}
	r.srv.closeMailbox(r.s)
	return true, nil
}
