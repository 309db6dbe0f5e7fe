package authdb

import (
	"context"

	"github.com/roostmail/roost/core/backend"
)

// stepEXTERNAL does EXTERNAL (RFC 4422 Appendix A): the client is the user whom its certificate names, which core has verified, and the
// response is empty or an authorization identity. The user must exist; the stored password does not matter.
func (db *DB) stepEXTERNAL(ctx context.Context, r backend.SASLRequest) (*backend.SASLAnswer, error) {
	if r.Certificate == "" {
		return nil, failed("no client certificate")
	}
	if r.Response == nil && len(r.State) == 0 { // the client speaks first
		return &backend.SASLAnswer{State: stateOf(tagStart)}, nil
	}
	if tag, parts := readState(r.State); tag != tagStart || len(parts) != 0 {
		return nil, errState
	}
	a, err := db.find(ctx, r.Certificate, string(r.Response), varsOf(r))
	switch {
	case err != nil:
		return nil, err
	case !a.Found:
		return nil, failed("unknown user")
	case a.Err != nil:
		return nil, db.unusable(&a)
	}
	d := sortFields(a.name, &a.Entry)
	if err := refusesAll(d); err != nil {
		return nil, err
	}
	id, err := db.identify(ctx, a, d, r.Remote)
	if err != nil {
		return nil, err
	}
	return &backend.SASLAnswer{Identity: id}, nil
}
