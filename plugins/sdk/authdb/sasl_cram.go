package authdb

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/hex"
	"fmt"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/plugins/sdk/password"
)

// stepCRAM does CRAM-MD5 (RFC 2195): the server speaks first, and its challenge is the state.
func (db *DB) stepCRAM(ctx context.Context, r backend.SASLRequest) (*backend.SASLAnswer, error) {
	if len(r.State) == 0 {
		if r.Response != nil {
			return nil, malformed("CRAM-MD5 has no initial response")
		}
		challenge := fmt.Appendf(nil, "<%s.%d@roost>", rand.Text(), db.now().Unix())
		return &backend.SASLAnswer{Challenge: challenge, State: stateOf(tagProof, challenge)}, nil
	}
	tag, parts := readState(r.State)
	if tag != tagProof || len(parts) != 1 {
		return nil, errState
	}
	i := bytes.LastIndexByte(r.Response, ' ')
	if i < 0 {
		return nil, malformed("no space before the digest")
	}
	proof, err := hex.DecodeString(string(r.Response[i+1:]))
	if err != nil || len(proof) != 16 {
		return nil, malformed("the digest is not 16 bytes in hex")
	}
	v := varsOf(r)
	a, err := db.find(ctx, string(r.Response[:i]), "", v)
	if err != nil {
		return nil, err
	}
	stored, refused := db.prove(&a)
	want, err := password.CRAMDigest(stored, db.opts.Scheme, parts[0])
	switch {
	case refused != nil:
		return nil, refused
	case err != nil:
		db.log.InfoContext(ctx, "stored password does not serve the mechanism", "where", a.Where, "user", a.name, "mechanism", r.Mechanism, "error", err)
		return nil, failed(err.Error())
	case subtle.ConstantTimeCompare(proof, want) != 1:
		return nil, failed("wrong password")
	}
	id, err := db.identify(ctx, a, sortFields(a.name, &a.Entry), r.Remote)
	if err != nil {
		return nil, err
	}
	return &backend.SASLAnswer{Identity: id}, nil
}
