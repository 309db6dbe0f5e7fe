package imap

// STARTTLS (RFC 3501 §6.2.1). What the client told before is forgotten: there
// is nothing of it but the count of malformed commands.
func quickStartTLS(r *request) (bool, error) {
	if err := r.end(); err != nil {
		return true, err
	}
	if r.s.TLS() {
		return true, bad("TLS is already active.")
	}
	if !r.s.CanStartTLS() {
		return true, no("UNAVAILABLE", "TLS is not available.")
	}
	r.ok.text = "Begin TLS negotiation now."
	r.then = r.s.StartTLS
	return true, nil
}
