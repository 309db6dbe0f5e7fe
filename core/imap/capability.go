package imap

import (
	"github.com/roostmail/roost/core/imapwire"
	"github.com/roostmail/roost/core/session"
)

// CAPABILITY (RFC 3501 §6.1.1).
func quickCapability(r *request) (bool, error) {
	if err := r.end(); err != nil {
		return true, err
	}
	b := r.s.Buffer()
	*b = append(*b, "* CAPABILITY "...)
	*b = r.srv.appendCapabilities(*b, r.s)
	*b = append(*b, '\r', '\n')
	r.s.Commit()
	return true, nil
}

// The capabilities, where known by RFC: IMAP4rev1 3501, IMAP4rev2 9051, SASL-IR 4959, LOGIN-REFERRALS 2221, ID 2971, ENABLE 5161,
// IDLE 2177, LITERAL+ 7888, NAMESPACE 2342, CHILDREN 3348, SPECIAL-USE 6154,
// LIST-EXTENDED 5258, LIST-STATUS 5819, UNSELECT 3691, STATUS=SIZE 8438, ESEARCH 4731, SEARCHRES 5182, WITHIN 5032, BINARY 3516, COMPRESS=DEFLATE 4978, UTF8=ACCEPT 6855, UIDONLY 9586,
// SORT and THREAD 5256, SORT=DISPLAY 5957, ESORT and CONTEXT 5267, I18NLEVEL=1 and LANGUAGE 5255, INPROGRESS 9585, PARTIAL 9394, UIDBATCHES 10022, MULTISEARCH 7377;
// where storage can be watched: NOTIFY 5465; where storage keeps modseqs: CONDSTORE and QRESYNC 7162;
// where storage can write: MULTIAPPEND 3502, UIDPLUS 4315, MOVE 6851, CATENATE 4469, URL-PARTIAL 5550, REPLACE 8508.
const (
	capabilities      = "IMAP4rev1 IMAP4rev2 SASL-IR LOGIN-REFERRALS ID ENABLE IDLE LITERAL+"
	capabilitiesAfter = " NAMESPACE CHILDREN SPECIAL-USE LIST-EXTENDED LIST-STATUS UNSELECT STATUS=SIZE ESEARCH SEARCHRES WITHIN BINARY COMPRESS=DEFLATE UTF8=ACCEPT UIDONLY LANGUAGE" +
		" SORT SORT=DISPLAY ESORT THREAD=ORDEREDSUBJECT THREAD=REFERENCES THREAD=REFS I18NLEVEL=1 PARTIAL UIDBATCHES CONTEXT=SEARCH CONTEXT=SORT MULTISEARCH"
	capabilitiesWatch = " NOTIFY"                                                // if storage can be watched
	capabilitiesMods  = " CONDSTORE QRESYNC"                                     // if storage keeps modseqs
	capabilitiesWrite = " MULTIAPPEND UIDPLUS MOVE CATENATE URL-PARTIAL REPLACE" // if storage can write
)

// appendCapabilities appends the capabilities of the session's state. Clients that know IMAP4rev2 (go-imap) send mailbox names in UTF-8
// when they see it, without the ENABLE that RFC 9051 §6.3.1 wants before: decodeName understands them.
func (srv *Server) appendCapabilities(b []byte, s *session.Session) []byte {
	b = append(b, capabilities...)
	if s.State().Proto != stateNotAuthenticated {
		b = append(b, capabilitiesAfter...)
		if !s.Compressed() {
			b = append(b, " UNAUTHENTICATE"...) // RFC 8437
		}
		if srv.cfg.ProgressInterval > 0 {
			b = append(b, " INPROGRESS"...)
		}
		b = srv.cfg.appendLimits(b)
		if srv.boxes.CanFollow() {
			b = append(b, capabilitiesWatch...)
		}
		if srv.modseqs != nil {
			b = append(b, capabilitiesMods...)
		}
		if srv.metadata != nil {
			b = append(b, capabilitiesMetadata...)
		}
		if withURLAuth(srv) {
			b = append(b, " URLAUTH"...) // RFC 4467
		}
		if srv.quota != nil {
			b = append(b, capabilitiesQuota...)
		}
		b = srv.offers.appendCapabilities(b)
		if srv.acl != nil {
			b = append(b, capabilitiesACL...)
		}
		if srv.writer != nil {
			b = append(b, capabilitiesWrite...)
			if srv.metadata != nil {
				b = append(b, capabilityCreateSpecialUse...)
			}
			if srv.cfg.AppendLimit > 0 { // RFC 7889 §2
				b = imapwire.AppendNumber(append(b, " APPENDLIMIT="...), srv.cfg.AppendLimit)
			}
		}
		return b
	}
	if s.CanStartTLS() {
		b = append(b, " STARTTLS"...)
	}
	for _, m := range srv.cfg.Mechanisms {
		if srv.offersMechanism(s, m) {
			b = append(append(b, " AUTH="...), m...)
		}
	}
	if srv.mayUseLogin(s) != nil { // RFC 3501 §6.2.3
		b = append(b, " LOGINDISABLED"...)
	}
	return b
}
