package imap

import (
	"errors"
	"strings"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/core/imapwire"
)

// response is a tagged response other than the plain OK, as an error.
type response struct {
	status string // OK, NO or BAD
	code   string // response code without brackets, "" = none
	text   string
}

func (r *response) Error() string { return r.status + " " + r.text }

func no(code, text string) error { return &response{"NO", code, text} }
func bad(text string) error      { return &response{"BAD", "", text} }

// errNoReply says that the command goes on, or has answered already.
var errNoReply = errors.New("no reply")

// errorCodes is the one place where kinds of backend errors become response
// codes: RFC 5530 §3, if not said otherwise. The text stands for errors without one.
var errorCodes = map[backend.ErrorKind]struct{ code, text string }{
	backend.KindInternal:        {"SERVERBUG", "Internal error, see the server's log."},
	backend.KindNotFound:        {"NONEXISTENT", "Mailbox doesn't exist."},
	backend.KindAlreadyExists:   {"ALREADYEXISTS", "Mailbox already exists."},
	backend.KindReadOnly:        {"READ-ONLY", "Mailbox is read-only."}, // RFC 3501 §7.1
	backend.KindNoPermission:    {"NOPERM", "Permission denied."},
	backend.KindOverQuota:       {"OVERQUOTA", "Quota exceeded."},
	backend.KindCorrupted:       {"CORRUPTION", "Stored data is damaged, see the server's log."},
	backend.KindExpunged:        {"EXPUNGEISSUED", "Message was expunged."},
	backend.KindUnavailable:     {"UNAVAILABLE", "Service is not available, try again later."},
	backend.KindUnsupported:     {"CANNOT", "Not supported by this storage."},
	backend.KindInvalidArgument: {"CANNOT", "Invalid request."},
	backend.KindInUse:           {"INUSE", "Mailbox is in use, try again later."},
	backend.KindLimit:           {"LIMIT", "A limit of the server was reached."},
	backend.KindAuthFailed:      {"AUTHENTICATIONFAILED", "Authentication failed."},
	backend.KindAuthDenied:      {"AUTHORIZATIONFAILED", "Login is not permitted."},
	backend.KindAuthExpired:     {"EXPIRED", "Password has expired."},
	backend.KindCancelled:       {"UNAVAILABLE", "Command was cancelled."},
}

// responseOf turns the error of a command into a response.
func responseOf(err error) *response {
	var r *response
	var syntax *imapwire.SyntaxError
	var b *backend.Error
	switch {
	case errors.As(err, &r):
		return r
	case errors.As(err, &syntax):
		return &response{"BAD", "", syntax.Error()}
	}
	kind := backend.KindOf(err)
	c, ok := errorCodes[kind]
	if !ok {
		c = errorCodes[backend.KindInternal]
	}
	// What is no *backend.Error is not meant for clients: paths may be in it.
	if errors.As(err, &b) && b.Message != "" {
		c.text = b.Message
	}
	if b != nil && kind == backend.KindAuthDenied && isReferral(b.Referral) {
		c.code = "REFERRAL " + b.Referral
	}
	return &response{"NO", c.code, c.text}
}

// isReferral reports whether s can be a referral: an IMAP URL (RFC 2221 §4.1), of the characters that URLs have (RFC 3986 §2) but for
// brackets, which would end the response code.
func isReferral(s string) bool {
	if !strings.HasPrefix(s, "imap://") || len(s) > maxReferral {
		return false
	}
	for _, c := range []byte(s) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', strings.IndexByte("-._~:/?#@!$&'()*+,;=%", c) >= 0:
		default:
			return false
		}
	}
	return true
}

// maxReferral is the longest referral that is shown, in bytes.
const maxReferral = 1000

// append appends "OK [CODE] text" CRLF.
func (r *response) append(b []byte) []byte {
	b = append(b, r.status...)
	if r.code != "" {
		b = append(b, " ["...)
		b = append(b, r.code...)
		b = append(b, ']')
	}
	b = append(b, ' ')
	b = imapwire.AppendText(b, r.text)
	return append(b, '\r', '\n')
}

// quote returns a client's word for a BAD text.
func quote(word []byte) string { return string(imapwire.AppendQuoted(nil, word)) }
