package imap

// COMPRESS (RFC 4978 §3): "COMPRESS" SP algorithm. The answer to an active compression has the response code that the RFC wants for a
// lower layer's, with NO, as Dovecot's has: only the code tells a client what is wrong.
func quickCompress(r *request) (bool, error) {
	r.d.SP()
	algorithm := r.d.Word()
	if err := r.end(); err != nil {
		return true, err
	}
	if r.s.Compressed() {
		return true, no("COMPRESSIONACTIVE", "DEFLATE is active.")
	}
	if algorithm != "DEFLATE" {
		return true, bad("Unknown compression mechanism.")
	}
	if limit := r.s.Compress(); limit != "" {
		return true, no("LIMIT", "Too many sessions are compressed ("+limit+").")
	}
	r.ok.text = "DEFLATE active." // all that comes after this line is compressed
	return true, nil
}
