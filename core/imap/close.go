package imap

import "github.com/roostmail/roost/core/backend"

// UNSELECT (RFC 3691 §2).
func quickUnselect(r *request) (bool, error) {
	if err := r.end(); err != nil {
		return true, err
	}
	r.deselect()
	return true, nil
}

// CLOSE (RFC 3501 §6.4.2) removes the messages with \Deleted, without a word, unless the mailbox is
// selected read-only.
func quickClose(r *request) (bool, error) {
	if err := r.end(); err != nil || !r.mayWrite() {
		if err == nil {
			r.deselect()
		}
		return true, err
	}
	return false, nil
}

// runClose closes the mailbox also if it could not be expunged, which it tells.
func runClose(r *request) error {
	// RFC 4314 §4: without the right e CLOSE only closes
	if err := r.expunge(r.deleted(r.view.All())); err != nil && backend.KindOf(err) != backend.KindNoPermission {
		r.logError(err)
		r.s.WriteString("* ")
		b := r.s.Buffer()
		*b = responseOf(err).append(*b)
		r.s.Commit()
	}
	r.deselect()
	return nil
}
