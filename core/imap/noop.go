package imap

// NOOP (RFC 3501 §6.1.2) and CHECK (§6.4.1), which has nothing more to do here.

// quickNoop answers if nothing can have changed.
func quickNoop(r *request) (bool, error) {
	if err := r.end(); err != nil {
		return true, err
	}
	return r.st.Proto != stateSelected || r.upToDate(), nil
}

// upToDate reports whether the client knows the state of the selected mailbox
// at this moment. It calls no plugin.
func (r *request) upToDate() bool { return r.srv.boxes.UpToDate(r.s.Mailbox(), r.st.View) }

func runNoop(r *request) error {
	return r.refresh()
}

// refresh asks storage for changes of the selected mailbox. What is lost is told by sync.
func (r *request) refresh() error {
	if r.st.Proto != stateSelected {
		return nil
	}
	m, err := r.hold()
	if err != nil {
		return err
	}
	err = m.Refresh(r.ctx)
	if err != nil && r.lost(err) == errNoReply {
		return errNoReply
	}
	return err
}
