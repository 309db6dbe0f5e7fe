package oauth2

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
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

	mu      sync.Mutex
	file    os.FileInfo // of keys that were read from a file
	checked time.Time
	set     keyfunc.Keyfunc
}

func newKeys(o *options) *keys {
	k := &keys{opts: o}
	for _, issuer := range o.issuers {
		k.parser = append(k.parser, jwt.NewParser(jwt.WithValidMethods(methods), jwt.WithIssuer(issuer), jwt.WithAudience(o.audiences...),
			jwt.WithExpirationRequired(), jwt.WithIssuedAt(), jwt.WithLeeway(leeway)))
	}
	return k
}

func (k *keys) ready(context.Context) error {
	_, err := k.current()
	return err
}

// checkInterval is how often a file is looked at for changes, at the most.
const checkInterval = time.Second

// current returns the keys, read again if the file has changed.
func (k *keys) current() (keyfunc.Keyfunc, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.opts.keysURL != "" {
		return k.fetched()
	}
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
		set, err := keyfunc.NewJWKSetJSON(json.RawMessage(text))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", k.opts.keysFile, err)
		}
		k.set, k.file = set, info
	}
	k.checked = time.Now()
	return k.set, nil
}

// fetched returns the keys of a server; once read, the library keeps them fresh.
func (k *keys) fetched() (keyfunc.Keyfunc, error) {
	if k.set != nil {
		return k.set, nil
	}
	set, err := keyfunc.NewDefaultOverrideCtx(context.Background(), []string{k.opts.keysURL}, keyfunc.Override{
		Client: &http.Client{Timeout: k.opts.timeout}, HTTPTimeout: k.opts.timeout, RefreshInterval: time.Hour, NoErrorReturnFirstHTTPReq: new(bool),
	})
	if err != nil {
		return nil, err
	}
	k.set = set
	return set, nil
}

func (k *keys) claims(ctx context.Context, token string) (map[string]any, error, error) {
	set, err := k.current()
	if err != nil {
		return nil, nil, err
	}
	for _, p := range k.parser {
		claims := jwt.MapClaims{}
		if _, err = p.ParseWithClaims(token, claims, set.KeyfuncCtx(ctx)); err == nil {
			return claims, nil, nil
		}
	}
	return nil, err, nil
}
