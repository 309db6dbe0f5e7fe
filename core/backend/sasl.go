package backend

import (
	"context"
	"net/netip"
	"strings"
)

// CapSASL, followed by the name of a mechanism, "sasl:SCRAM-SHA-256": auth implements SASL, for that mechanism.
const CapSASL = "sasl:"

// MaxSASLState and MaxSASLMessage bound SASLAnswer.State and SASLAnswer.Challenge, in bytes.
const (
	MaxSASLState   = 4 << 10
	MaxSASLMessage = 16 << 10
)

// SASL is implemented by auth plugins with mechanisms of more than a user name and a password (RFC 4422).
//
// An exchange keeps nothing in the plugin: what the plugin has to know at the client's next response travels as
// State through core, which gives it back unread. So a session sleeps in the middle of an exchange like any other, and an
// exchange goes on with the next process after the plugin's has died.
type SASL interface {
	// StepSASL takes a response of the client. Kinds are those of VerifyPassword, and KindInvalidArgument for a response that is malformed.
	StepSASL(ctx context.Context, r SASLRequest) (*SASLAnswer, error)
}

// SASLRequest is one response of the client.
type SASLRequest struct {
	Mechanism string // upper case
	// Response is nil at the beginning of an exchange to which the client sent no initial response (RFC 4422 §3.3); it
	// is empty, not nil, if what it sent is empty.
	Response []byte
	State    []byte     // of the answer before; nil at the beginning
	Service  string     // "imap"
	Remote   netip.Addr // of the client; invalid = unknown
	Local    netip.Addr
	Secured  bool // TLS, or a local connection
	Session  string
	// Bindings are the channel bindings that the connection has (RFC 5056), if core has announced a mechanism with the suffix "-PLUS" to this client;
	// else there are none.
	Bindings []ChannelBinding
	// Certificate is the name in the client's TLS certificate, which core has verified; "" = none.
	Certificate string
}

// ChannelBinding is what both ends of a connection, and nobody else, know of it.
type ChannelBinding struct {
	Type string // "tls-exporter" (RFC 9266) or "tls-server-end-point" (RFC 5929 §4)
	Data []byte
}

// SASLAnswer is what becomes of an exchange.
type SASLAnswer struct {
	// Identity is who the client has proved to be; nil: the exchange goes on with Challenge and State. What a mechanism
	// sends along with success (SCRAM's server signature) is a challenge of its own, which the client answers with nothing.
	Identity  *Identity
	Challenge []byte // at most MaxSASLMessage
	State     []byte // at most MaxSASLState
}

// Mechanisms returns the SASL mechanisms that are announced, in their order.
func (i Info) Mechanisms() (names []string) {
	for _, c := range i.Capabilities {
		if name, ok := strings.CutPrefix(c, CapSASL); ok {
			names = append(names, name)
		}
	}
	return names
}
