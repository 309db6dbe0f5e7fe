package oauth2

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/MicahParks/keyfunc/v3"
	"github.com/golang-jwt/jwt/v5"
)

// checker checks tokens.
type checker interface {
	// claims returns what a token says, if it is good. unknown: nobody could tell whether it is.
	claims(ctx context.Context, token string) (claims map[string]any, refused, unknown error)
	// ready returns nil if tokens can be checked.
	ready(ctx context.Context) error
}

// methods are the algorithms that a signature may have: those with a public key. With HMAC, or "none", who can check can also sign.
var methods = []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}

// leeway is how far the clocks of two servers may differ.
const leeway = 30 * time.Second

// keys checks JSON Web Tokens with public keys.
type keys struct {
	opts   *options
	parser []*jwt.Parser // one for each issuer
	remote *remote       // nil: the keys are in a file

	mu      sync.Mutex
	file    os.FileInfo
	checked time.Time
	set     keyfunc.Keyfunc
}

func newKeys(log *slog.Logger, o *options) *keys {
	k := &keys{opts: o}
	if o.keysURL != "" {
		k.remote = newRemote(log, o)
	}
	for _, issuer := range o.issuers {
		k.parser = append(k.parser, jwt.NewParser(jwt.WithValidMethods(methods), jwt.WithIssuer(issuer), jwt.WithAudience(o.audiences...),
			jwt.WithExpirationRequired(), jwt.WithIssuedAt(), jwt.WithLeeway(leeway)))
	}
	return k
}

func (k *keys) ready(ctx context.Context) error {
	_, _, err := k.current(ctx, noneMissing)
	return err
}

// noneMissing is the version of no keys.
const noneMissing = -1

// checkInterval is how often a file is looked at for changes, at the most.
const checkInterval = time.Second

// current returns the keys and their version; newer ones, if there are, than those among which one was missing.
func (k *keys) current(ctx context.Context, missing int) (keyfunc.Keyfunc, int, error) {
	if k.remote != nil {
		return k.remote.keys(ctx, missing)
	}
	set, err := k.onDisk()
	return set, 0, err
}

// onDisk returns the keys of the file, read again if it has changed.
func (k *keys) onDisk() (keyfunc.Keyfunc, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.set != nil && time.Since(k.checked) < checkInterval {
		return k.set, nil
	}
	info, err := os.Stat(k.opts.keysFile)
	if err != nil {
		return nil, err
	}
	if k.set == nil || !info.ModTime().Equal(k.file.ModTime()) || info.Size() != k.file.Size() || !os.SameFile(info, k.file) {
		text, err := os.ReadFile(k.opts.keysFile)
		if err != nil {
			return nil, err
		}
		set, err := parseKeys(text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", k.opts.keysFile, err)
		}
		k.set, k.file = set, info
	}
	k.checked = time.Now()
	return k.set, nil
}

func (k *keys) claims(ctx context.Context, token string) (claims map[string]any, refused, unknown error) {
	missing := noneMissing
	for {
		set, version, err := k.current(ctx, missing)
		if err != nil {
			return nil, nil, err
		}
		claims, lacksKey, refused := k.parse(ctx, token, set)
		if !lacksKey || version == missing || k.remote == nil {
			return claims, refused, nil
		}
		missing = version
	}
}

// parse checks a token. lacksKey: it is refused because the keys have none that it is signed with.
func (k *keys) parse(ctx context.Context, token string, set keyfunc.Keyfunc) (good map[string]any, lacksKey bool, refused error) {
	known := set.KeyfuncCtx(ctx)
	key := func(t *jwt.Token) (any, error) {
		found, err := known(t)
		lacksKey = err != nil
		return found, err
	}
	for _, p := range k.parser {
		claims := jwt.MapClaims{}
		t, err := p.ParseWithClaims(token, claims, key)
		if err == nil {
			return claims, false, nil
		}
		if t != nil && t.Header["kid"] == nil && errors.Is(err, jwt.ErrTokenSignatureInvalid) { // any of the keys would do
			lacksKey = true
		}
		refused = err
	}
	return nil, lacksKey, refused
}
