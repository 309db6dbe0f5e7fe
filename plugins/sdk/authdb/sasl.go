package authdb

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"

	"github.com/roostmail/roost/core/backend"
)

// Capabilities are what a plugin announces that has a DB: user lookup, and the mechanisms that a DB can do for users whose stored password
// serves them: the password itself serves all, SCRAM or CRAM-MD5 keys their own.
// EXTERNAL needs none.
func Capabilities() []string {
	return []string{backend.CapUserLookup, backend.CapSASL + "SCRAM-SHA-256-PLUS", backend.CapSASL + "SCRAM-SHA-256", backend.CapSASL + "SCRAM-SHA-1-PLUS",
		backend.CapSASL + "SCRAM-SHA-1", backend.CapSASL + "CRAM-MD5", backend.CapSASL + "EXTERNAL"}
}

// StepSASL implements backend.SASL.
func (db *DB) StepSASL(ctx context.Context, r backend.SASLRequest) (*backend.SASLAnswer, error) {
	switch r.Mechanism {
	case "CRAM-MD5":
		return db.stepCRAM(ctx, r)
	case "EXTERNAL":
		return db.stepEXTERNAL(ctx, r)
	}
	if r.Response == nil && len(r.State) == 0 { // the client speaks first
		return &backend.SASLAnswer{State: stateOf(tagStart)}, nil
	}
	switch r.Mechanism {
	case "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS", "SCRAM-SHA-1", "SCRAM-SHA-1-PLUS":
		return db.stepSCRAM(ctx, r)
	}
	return nil, backend.Errorf(backend.KindUnsupported, "no such SASL mechanism")
}

func varsOf(r backend.SASLRequest) Vars {
	return Vars{Service: r.Service, Remote: addrText(r.Remote), Local: addrText(r.Local), Session: r.Session}
}

// The state of an exchange is a tag of one byte and parts, each with its length before it.
const (
	tagStart byte = iota + 1 // nothing has been said
	tagProof                 // the client's proof is next
	tagDone                  // the client has proved who it is, and shall say that it has seen the server's signature
)

func stateOf(tag byte, parts ...[]byte) []byte {
	b := []byte{tag}
	for _, p := range parts {
		b = append(binary.AppendUvarint(b, uint64(len(p))), p...)
	}
	return b
}

// readState returns what stateOf has made; tag 0: nothing that it makes.
func readState(b []byte) (tag byte, parts [][]byte) {
	if len(b) == 0 {
		return tagStart, nil
	}
	tag, b = b[0], b[1:]
	for len(b) > 0 {
		n, k := binary.Uvarint(b)
		if k <= 0 || n > uint64(len(b)-k) {
			return 0, nil
		}
		parts, b = append(parts, b[k:k+int(n)]), b[k+int(n):]
	}
	return tag, parts
}

// errState is for a state that does not fit: core or the plugin has a bug.
var errState = backend.Errorf(backend.KindInternal, "not a state of this SASL exchange")

func malformed(detail string) error {
	return &backend.Error{Kind: backend.KindInvalidArgument, Message: "Invalid SASL response", Detail: detail}
}

// salt returns the salt for a user whose stored password has none, or who does not exist: always the same for a name, as a stored one would
// be, so that nobody learns from it which users there are (RFC 5802 §9).
func (db *DB) salt(a *account) []byte {
	name := a.name // however it was written, as a stored salt
	if name == "" {
		name = a.login
	}
	h := hmac.New(sha256.New, db.secret[:])
	h.Write([]byte(name))
	return h.Sum(nil)[:16]
}

// prove returns the stored password with which a client has to prove that it is the user of a; ok is false if no proof is good enough, with the
// error that the client gets when it has given one.
func (db *DB) prove(a *account) (stored string, refused error) {
	switch {
	case !a.Found:
		return a.Decoy, failed("unknown user")
	case a.Err != nil:
		return a.Decoy, db.unusable(a)
	case a.Verify != nil || a.Password == "":
		return a.Decoy, failed("the user has no password that the mechanism could use")
	}
	return a.Password, refusesAll(sortFields(a.name, &a.Entry))
}
