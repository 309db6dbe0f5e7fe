package imap

// LOGOUT (RFC 3501 §6.1.3).
func quickLogout(r *request) (bool, error) {
	if err := r.end(); err != nil {
		return true, err
	}
	r.st.Proto = stateLogout
	r.s.WriteString("* BYE Logging out\r\n")
	r.then = r.s.Close
	return true, nil
}
