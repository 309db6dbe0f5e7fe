package authdb

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"slices"
	"strconv"
	"strings"

	"github.com/xdg-go/scram"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/plugins/sdk/password"
)

// stepSCRAM does SCRAM-SHA-1 and SCRAM-SHA-256 (RFC 5802, RFC 7677), and both with channel binding. The state after the first message is the server's nonce, the
// message, and the salt for a password that is stored without one: the conversation is played again from them when the proof arrives.
func (db *DB) stepSCRAM(ctx context.Context, r backend.SASLRequest) (*backend.SASLAnswer, error) {
	tag, parts := readState(r.State)
	switch {
	case tag == tagStart && len(parts) == 0:
		nonce := []byte(rand.Text())
		challenge, x, err := db.scramFirst(ctx, r, string(nonce), string(r.Response), nil)
		if err != nil {
			return nil, err
		}
		return &backend.SASLAnswer{Challenge: []byte(challenge), State: stateOf(tagProof, nonce, r.Response, x.salt)}, nil
	case tag == tagProof && len(parts) == 3:
		_, x, err := db.scramFirst(ctx, r, string(parts[0]), string(parts[1]), parts[2])
		if err != nil {
			return nil, err
		}
		return x.proof(r)
	case tag == tagDone && len(parts) == 2:
		if len(r.Response) > 0 {
			return nil, malformed("data after the server's signature")
		}
		return db.scramDone(ctx, r, string(parts[0]), string(parts[1]))
	}
	return nil, errState
}

// scramExchange is an exchange whose first message has been read.
type scramExchange struct {
	conv    *scram.ServerConversation
	account account
	salt    []byte // for a password that is stored without one
	refused error  // what a right proof ends with
}

// scramFirst reads the first message of a client, and returns the challenge. salt is nil when the message comes for the first time.
func (db *DB) scramFirst(ctx context.Context, r backend.SASLRequest, nonce, first string, salt []byte) (challenge string, x *scramExchange, err error) {
	if len(first) > maxFirst {
		return "", nil, malformed("first message too long")
	}
	x = &scramExchange{salt: salt}
	var found error
	lookup := func(user string) (scram.StoredCredentials, error) {
		v := varsOf(r)
		if x.account, found = db.find(ctx, user, x.conv.AuthzID(), v); found != nil {
			return scram.StoredCredentials{}, found
		}
		if x.salt == nil {
			x.salt = db.salt(&x.account)
		}
		if found = db.takeTurn(ctx); found != nil {
			return scram.StoredCredentials{}, found
		}
		defer db.endTurn()
		return db.scramSecrets(strings.TrimSuffix(r.Mechanism, plus), x), nil
	}
	binding, err := bindingOf(r, first)
	if err != nil {
		return "", nil, err
	}
	generator := scram.SHA256
	if strings.HasPrefix(r.Mechanism, "SCRAM-SHA-1") {
		generator = scram.SHA1
	}
	server, err := generator.NewServer(lookup)
	if err != nil {
		return "", nil, internal(err)
	}
	x.conv = server.WithNonceGenerator(func() string { return nonce }).NewConversationWithChannelBinding(binding)
	challenge, err = x.conv.Step(first)
	switch {
	case found != nil:
		return "", nil, found
	case err != nil:
		return "", nil, malformed(err.Error())
	}
	return challenge, x, nil
}

// plus is the suffix of mechanisms with channel binding.
const plus = "-PLUS"

// bindingOf returns the channel binding that a client wants, by the beginning of its first message (RFC 5802 §6, §7: gs2-cbind-flag); zero for one that
// wants none. The error is KindAuthFailed for a client that believes the server to have none though it was announced: somebody has
// changed what it was told.
func bindingOf(r backend.SASLRequest, first string) (b scram.ChannelBinding, err error) {
	flag, _, _ := strings.Cut(first, ",")
	wanted, wants := strings.CutPrefix(flag, "p=")
	switch {
	case wants != strings.HasSuffix(r.Mechanism, plus):
		return b, malformed("the mechanism's name and the flag of channel binding do not agree")
	case flag == "y" && len(r.Bindings) > 0:
		return b, failed("the client was told that there is no channel binding: its list of mechanisms was changed on the way")
	case !wants:
		return b, nil
	}
	for _, has := range r.Bindings {
		if has.Type == wanted {
			return scram.ChannelBinding{Type: scram.ChannelBindingType(wanted), Data: has.Data}, nil
		}
	}
	return b, failed("the connection has no channel binding of the type " + strconv.Quote(wanted))
}

// maxFirst bounds the first message, so that it fits into the state, in bytes.
const maxFirst = 2 << 10

// scramSecrets returns a user's secrets; for one who can not log in, those of nobody.
func (db *DB) scramSecrets(mechanism string, x *scramExchange) scram.StoredCredentials {
	stored, refused := db.prove(&x.account)
	x.refused = refused
	secrets, err := password.SCRAMSecrets(mechanism, stored, db.opts.Scheme, x.salt, db.opts.Limits)
	if err != nil {
		if x.refused == nil {
			db.log.Info("stored password does not serve the mechanism", "where", x.account.Where, "user", x.account.name, "mechanism", mechanism, "error", err)
			x.refused = failed(err.Error())
		}
		random := sha256.Sum256([]byte(rand.Text()))
		secrets = password.SCRAM{Iterations: 4096, Salt: x.salt, StoredKey: random[:], ServerKey: random[:]}
	}
	if !x.account.Found { // the decoy's own salt would be that of a user who exists
		secrets.Salt = stretch(x.salt, len(secrets.Salt))
	}
	return scram.StoredCredentials{
		KeyFactors: scram.KeyFactors{Salt: string(secrets.Salt), Iters: secrets.Iterations},
		StoredKey:  secrets.StoredKey,
		ServerKey:  secrets.ServerKey,
	}
}

// stretch returns n bytes that are made of a salt, and nothing else.
func stretch(salt []byte, n int) []byte {
	out := slices.Clone(salt)
	for len(out) < n {
		more := sha256.Sum256(out)
		out = append(out, more[:]...)
	}
	return out[:n]
}

// proof checks the client's proof, and answers with the server's signature.
func (x *scramExchange) proof(r backend.SASLRequest) (*backend.SASLAnswer, error) {
	signature, err := x.conv.Step(string(r.Response))
	switch {
	case x.refused != nil:
		return nil, x.refused
	case err != nil && signature == scram.ErrChannelBindingsDontMatch:
		return nil, failed("the client's channel binding is not that of this connection")
	case err != nil && strings.HasPrefix(signature, "e=") && signature != scram.ErrOtherError:
		return nil, failed("wrong password")
	case err != nil:
		return nil, malformed(err.Error())
	}
	return &backend.SASLAnswer{Challenge: []byte(signature), State: stateOf(tagDone, []byte(x.conv.Username()), []byte(x.conv.AuthzID()))}, nil
}

// scramDone returns who has proved who it is.
func (db *DB) scramDone(ctx context.Context, r backend.SASLRequest, login, authzID string) (*backend.SASLAnswer, error) {
	v := varsOf(r)
	a, err := db.find(ctx, login, authzID, v)
	if err != nil {
		return nil, err
	}
	if !a.Found || a.Err != nil {
		return nil, failed("the user is gone")
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
