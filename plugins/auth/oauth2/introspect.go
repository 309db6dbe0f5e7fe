package oauth2

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// introspection asks the server that has issued a token (RFC 7662).
type introspection struct {
	opts   *options
	client *http.Client
}

func newIntrospection(o *options) *introspection {
	return &introspection{opts: o, client: &http.Client{
		Timeout:       o.timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, // tokens go nowhere else
	}}
}

// ready does not ask: a question without a token is none.
func (i *introspection) ready(context.Context) error { return nil }

// maxAnswer is the most of an answer that is read, in bytes.
const maxAnswer = 1 << 20

func (i *introspection) claims(ctx context.Context, token string) (claims map[string]any, refused, unknown error) {
	form := url.Values{"token": {token}, "token_type_hint": {"access_token"}}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, i.opts.introspectionURL, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, nil, err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Accept", "application/json")
	if i.opts.clientID != "" {
		r.SetBasicAuth(url.QueryEscape(i.opts.clientID), url.QueryEscape(i.opts.clientSecret)) // RFC 6749 §2.3.1
	}
	answer, err := i.client.Do(r)
	if err != nil {
		return nil, nil, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil, nil, fmt.Errorf("introspection answers %s", answer.Status)
	}
	if err := json.NewDecoder(io.LimitReader(answer.Body, maxAnswer)).Decode(&claims); err != nil {
		return nil, nil, fmt.Errorf("introspection answers no JSON object: %w", err)
	}
	if active, _ := claims["active"].(bool); !active { // RFC 7662 §2.2
		return nil, errors.New("not active"), nil
	}
	return claims, i.check(claims), nil
}

// check returns what is wrong with an active token, as far as the answer says.
func (i *introspection) check(claims map[string]any) error {
	if exp := expiry(claims); !exp.IsZero() && time.Now().After(exp.Add(leeway)) {
		return errors.New("expired")
	}
	if issuer, _ := claims["iss"].(string); len(i.opts.issuers) > 0 && !slices.Contains(i.opts.issuers, issuer) {
		return errors.New("another issuer")
	}
	if len(i.opts.audiences) > 0 && !slices.ContainsFunc(texts(claims["aud"]), func(a string) bool { return slices.Contains(i.opts.audiences, a) }) {
		return errors.New("another audience")
	}
	return nil
}

// texts returns a claim that is a text or an array of texts.
func texts(v any) (list []string) {
	switch v := v.(type) {
	case string:
		return []string{v}
	case []any:
		for _, e := range v {
			if s, ok := e.(string); ok {
				list = append(list, s)
			}
		}
	}
	return list
}
