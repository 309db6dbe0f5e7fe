package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"time"
	"unicode/utf8"

	"github.com/roostmail/roost/core/backend"
)

// plugin posts each attempt to log in to a URL, as JSON:
//
//	{"user": "jane", "password": "secret", "service": "imap", "remote": "192.0.2.7"}
//
// and understands the status of the answer:
//
//	200  {"user": "jane", "fields": {"home": "/srv/mail/jane"}}: she is who she says
//	401  wrong user or password
//	403  right password, but she may not log in
//	410  right password, but it has expired
//
// Anything else means that the service is down.
type plugin struct {
	url    string
	client *http.Client
}

// maxAnswer is the most bytes of an answer that are read.
const maxAnswer = 64 << 10

// Info implements backend.Plugin.
func (p *plugin) Info() backend.Info {
	return backend.Info{
		Kind: backend.KindAuth, Name: "auth-http", Version: "1.0.0", Description: "asks a web service for passwords",
		Options: []backend.Option{
			{Name: "url", Type: backend.OptionString, Required: true, Help: "where attempts to log in are posted"},
			{Name: "timeout", Type: backend.OptionDuration, Default: "5s", Help: "how long the service may take"},
		},
	}
}

// Configure implements backend.Plugin.
func (p *plugin) Configure(_ context.Context, c backend.Config) error {
	text, _ := c.Options["url"].(string)
	u, err := url.Parse(text)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return backend.OptionErrorf("url", "is not the URL of a web service")
	}
	timeout := 5 * time.Second
	if text, ok := c.Options["timeout"].(string); ok {
		if timeout, err = time.ParseDuration(text); err != nil || timeout <= 0 {
			return backend.OptionErrorf("timeout", "is not a duration such as 5s")
		}
	}
	p.url = u.String()
	p.client = &http.Client{
		Timeout:   timeout,
		Transport: &http.Transport{MaxIdleConnsPerHost: 16, IdleConnTimeout: time.Minute},
		// A password is sent to nobody but the configured service.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return nil
}

// Health implements backend.Plugin. A service that is down shows in logins; a probe of its own would only add load.
func (p *plugin) Health(context.Context) error { return nil }

// Close implements backend.Plugin.
func (p *plugin) Close() error {
	if p.client != nil {
		p.client.CloseIdleConnections()
	}
	return nil
}

// question and answer are what goes over HTTP.
type question struct {
	User     string     `json:"user"`
	Password string     `json:"password"`
	Service  string     `json:"service"`
	Remote   netip.Addr `json:"remote"`
}

type answer struct {
	User   string            `json:"user"`
	Fields map[string]string `json:"fields"`
}

// VerifyPassword implements backend.Auth.
func (p *plugin) VerifyPassword(ctx context.Context, r backend.PasswordRequest) (*backend.Identity, error) {
	// JSON holds text only: other bytes would be replaced, and one name or password be taken for another.
	if !utf8.ValidString(r.User) || !utf8.ValidString(r.Password) || (r.AuthzID != "" && r.AuthzID != r.User) {
		return nil, backend.Errorf(backend.KindAuthFailed, "")
	}
	body, err := json.Marshal(question{r.User, r.Password, r.Service, r.Remote})
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := p.client.Do(req)
	if err != nil {
		return nil, down(ctx, err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return nil, down(ctx, err)
	}
	switch resp.StatusCode {
	case http.StatusOK:
	case http.StatusUnauthorized:
		return nil, backend.Errorf(backend.KindAuthFailed, "")
	case http.StatusForbidden:
		return nil, backend.Errorf(backend.KindAuthDenied, "")
	case http.StatusGone:
		return nil, backend.Errorf(backend.KindAuthExpired, "")
	default:
		return nil, down(ctx, fmt.Errorf("status %s", resp.Status))
	}
	var a answer
	if err := json.Unmarshal(text, &a); err != nil || a.User == "" {
		return nil, down(ctx, fmt.Errorf("an answer without user: %w", err))
	}
	return &backend.Identity{User: backend.User{Name: a.User, Fields: a.Fields}}, nil
}

// down says that the service gave no answer, or that nobody waits for one any more.
func down(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return &backend.Error{Kind: backend.KindUnavailable, Message: "the user database is not available", Detail: err.Error()}
}
