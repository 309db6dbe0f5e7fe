package imap

import "slices"

// enables are the extensions that ENABLE knows, and what each turns on.
var enables = map[string]uint8{
	"CONDSTORE": enabledCondstore,
	"QRESYNC":   enabledQresync | enabledCondstore, // RFC 7162 §3.2.3

	"UTF8=ACCEPT": enabledUTF8, // RFC 6855 §3
	"IMAP4REV2":   enabledRev2, // RFC 9051 Appendix A

	"UIDONLY": enabledUIDOnly, // RFC 9586 §3
}

// ENABLE (RFC 5161 §3.1): "ENABLE" 1*(SP capability). What is not known is
// ignored; the ENABLED response names what is on now of what was asked for.
func quickEnable(r *request) (bool, error) {
	names, bits, err := r.parseEnable()
	if err != nil {
		return true, err
	}
	if bits&enabledCondstore != 0 && r.mustWait() || slices.Contains(names, capabilityMetadata) {
		return false, nil
	}
	r.enable(names, bits)
	return true, nil
}

func runEnable(r *request) error {
	names, bits, err := r.parseEnable()
	if err != nil {
		return err
	}
	if i := slices.Index(names, capabilityMetadata); i >= 0 {
		if err := r.enableMetadata(); err != nil { // RFC 5161 §3.2: what was not enabled is not in the response
			r.srv.log.DebugContext(r.context(), "annotations can not be followed", "user", r.user().Name, "error", err)
			names = slices.Delete(names, i, i+1)
		}
	}
	r.enable(names, bits)
	return nil
}

// parseEnable reads the command: what is known of it, and what that turns on.
func (r *request) parseEnable() (names []string, bits uint8, err error) {
	for r.d.OK() {
		r.d.SP()
		word := r.d.Word()
		known := enables[word] != 0 && r.srv.canEnable(enables[word]) || word == capabilityMetadata && r.srv.canFollowMetadata()
		if known && !slices.Contains(names, word) {
			names, bits = append(names, word), bits|enables[word]
		}
		if r.d.AtEnd() {
			break
		}
	}
	return names, bits, r.end()
}

// canEnable reports whether the server has an extension at all.
func (srv *Server) canEnable(bits uint8) bool {
	return bits&enabledCondstore == 0 || srv.modseqs != nil
}

// spelled returns a capability, which is in upper case, as it is announced.
func spelled(name string) string {
	if name == "IMAP4REV2" {
		return "IMAP4rev2"
	}
	return name
}

func (r *request) enable(names []string, bits uint8) {
	if bits&enabledCondstore != 0 {
		r.enableCondstore()
	}
	r.st.Enabled |= bits
	b := r.s.Buffer()
	*b = append(*b, "* ENABLED"...)
	for _, name := range names {
		*b = append(append(*b, ' '), spelled(name)...)
	}
	*b = append(*b, '\r', '\n')
	r.s.Commit()
}
