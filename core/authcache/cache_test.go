package authcache

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/roostmail/roost/core/backend"
)

// plugin is an auth plugin with one user.
type plugin struct {
	backend.Auth
	password string
	err      error // of all calls
	hangs    bool  // until the context ends
	asked    int
}

func (p *plugin) VerifyPassword(ctx context.Context, r backend.PasswordRequest) (*backend.Identity, error) {
	p.asked++
	if p.hangs {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	if p.err != nil {
		return nil, p.err
	}
	if r.User != "jane" || r.Password != p.password {
		return nil, backend.Errorf(backend.KindAuthFailed, "Authentication failed")
	}
	return &backend.Identity{User: backend.User{Name: "jane", Fields: map[string]string{"home": "/h"}}, Fields: map[string]string{"x": "y"}}, nil
}

// bench is a cache with its plugin and clock.
type bench struct {
	*Cache
	t   *testing.T
	p   *plugin
	now time.Time
}

func open(t *testing.T, cfg Config) *bench {
	b := &bench{t: t, p: &plugin{password: "secret"}, now: time.Unix(1e9, 0)}
	b.Cache = New(cfg, b.p, func() time.Time { return b.now })
	return b
}

var whole = Config{Size: 1 << 20, TTL: time.Minute, NegativeTTL: 10 * time.Second, FailTTL: time.Hour}

func from(user, password string) backend.PasswordRequest {
	return backend.PasswordRequest{User: user, Password: password, Service: "imap", Remote: netip.MustParseAddr("192.0.2.1"), Secured: true}
}

// try makes an attempt, and checks whether it is taken and how often the plugin was asked by then.
func (b *bench) try(what string, r backend.PasswordRequest, ok bool, asked int) {
	b.t.Helper()
	id, err := b.VerifyPassword(context.Background(), r)
	if (err == nil) != ok || b.p.asked != asked {
		b.t.Errorf("%s: %v, asked %d times, want %d", what, err, b.p.asked, asked)
	}
	if err == nil {
		if id.User.Name != "jane" || id.User.Fields["home"] != "/h" || id.Fields["x"] != "y" {
			b.t.Errorf("%s: %+v", what, id)
		}
		clear(id.User.Fields) // it is the caller's
		clear(id.Fields)
	}
}

func TestRemembers(t *testing.T) {
	b := open(t, whole)
	b.try("first", from("jane", "secret"), true, 1)
	b.try("again", from("jane", "secret"), true, 1)
	for i, change := range []func(*backend.PasswordRequest){
		func(r *backend.PasswordRequest) { r.Remote = netip.MustParseAddr("192.0.2.2") },
		func(r *backend.PasswordRequest) { r.Local = netip.MustParseAddr("192.0.2.2") },
		func(r *backend.PasswordRequest) { r.Secured = false },
		func(r *backend.PasswordRequest) { r.AuthzID = "jane" },
		func(r *backend.PasswordRequest) { r.Service = "pop3" },
	} {
		r := from("jane", "secret")
		change(&r)
		b.try(fmt.Sprint("another attempt ", i), r, true, 2+i)
	}
	r := from("jane", "secret")
	r.Session = "another"
	b.try("another session", r, true, 6)
	b.now = b.now.Add(time.Minute)
	b.try("after TTL", from("jane", "secret"), true, 7)
	b.Flush()
	b.try("after Flush", from("jane", "secret"), true, 8)
	if s := b.Stats(); s.Hits != 2 || s.Misses != 8 || s.Entries != 1 || s.Bytes < entryBytes {
		t.Errorf("%+v", s)
	}
}

func TestChangedPassword(t *testing.T) {
	b := open(t, whole)
	b.try("right", from("jane", "secret"), true, 1)
	b.try("wrong", from("jane", "other"), false, 2)
	b.try("right, after a wrong one", from("jane", "secret"), true, 3)
	b.p.password = "other"
	b.try("the new one", from("jane", "other"), true, 4)
	b.try("the old one", from("jane", "secret"), false, 5)
	b.try("the new one again", from("jane", "other"), true, 6)
}

func TestRemembersWrongPasswords(t *testing.T) {
	b := open(t, whole)
	b.try("wrong", from("jane", "other"), false, 1)
	b.try("again", from("jane", "other"), false, 1)
	b.try("another", from("jane", "third"), false, 2)
	b.p.password = "third"
	b.try("it is right by now", from("jane", "third"), false, 2)
	b.now = b.now.Add(10 * time.Second)
	b.try("after the time", from("jane", "third"), true, 3)
	// Other reasons are not remembered.
	for i, kind := range []backend.ErrorKind{backend.KindAuthDenied, backend.KindAuthExpired, backend.KindUnavailable, backend.KindInternal} {
		b.Flush()
		b.p.err = backend.Errorf(kind, "x")
		for j := range 2 {
			b.try(kind.String(), from("jane", "third"), false, 4+2*i+j)
		}
	}
	b = open(t, Config{Size: 1 << 20, TTL: time.Minute})
	b.try("wrong", from("jane", "other"), false, 1)
	b.try("none are remembered", from("jane", "other"), false, 2)
}

func TestWithoutThePlugin(t *testing.T) {
	b := open(t, whole)
	b.try("right", from("jane", "secret"), true, 1)
	b.now = b.now.Add(time.Minute)
	b.p.err = backend.Errorf(backend.KindUnavailable, "down")
	b.try("down", from("jane", "secret"), true, 2)
	b.try("down, another password", from("jane", "other"), false, 3)
	b.try("down, once more", from("jane", "secret"), true, 4)
	b.now = b.now.Add(time.Hour)
	b.try("down for too long", from("jane", "secret"), false, 5)
	b.p.err = nil
	b.try("up", from("jane", "secret"), true, 6)
	b.now = b.now.Add(time.Minute)
	b.p.err = backend.Errorf(backend.KindAuthDenied, "no")
	b.try("refused", from("jane", "secret"), false, 7)
	b.p.err = backend.Errorf(backend.KindUnavailable, "down")
	b.try("down, after it was refused", from("jane", "secret"), false, 8)
	if s := b.Stats(); s.Stale != 2 {
		t.Errorf("%+v", s)
	}
	b = open(t, Config{Size: 1 << 20, TTL: time.Minute}) // fail = "closed"
	b.try("right", from("jane", "secret"), true, 1)
	b.now = b.now.Add(time.Minute)
	b.p.err = backend.Errorf(backend.KindUnavailable, "down")
	b.try("down", from("jane", "secret"), false, 2)
}

func TestPluginThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := open(t, whole)
		b.try("right", from("jane", "secret"), true, 1)
		b.now = b.now.Add(time.Minute)
		b.p.hangs = true
		start := time.Now()
		b.try("hangs", from("jane", "secret"), true, 2)
		if d := time.Since(start); d != FailWait {
			t.Errorf("after %v", d)
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if _, err := b.VerifyPassword(ctx, from("jane", "secret")); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the caller has gone: %v", err)
		}
	})
}

// TestBounds: memory is bounded, the last used is kept, and wrong passwords drive no right ones out.
func TestBounds(t *testing.T) {
	b := open(t, Config{Size: 16 << 10, TTL: time.Hour, NegativeTTL: time.Hour})
	b.try("right", from("jane", "secret"), true, 1)
	for i := range 1000 {
		r := from("nobody"+strings.Repeat("x", i), "secret")
		b.try("wrong", r, false, 2+i)
		if s := b.Stats(); s.Bytes > 16<<10 {
			t.Fatalf("%+v", s)
		}
	}
	b.try("right", from("jane", "secret"), true, 1001)
	if s := b.Stats(); s.Entries < 3 {
		t.Errorf("%+v", s)
	}
	b.try("larger than all", from(strings.Repeat("y", 20<<10), "secret"), false, 1002)
}

// BenchmarkHit is a login that is remembered.
func BenchmarkHit(b *testing.B) {
	c := New(whole, &plugin{password: "secret"}, nil)
	r := from("jane", "secret")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.VerifyPassword(context.Background(), r); err != nil {
			b.Fatal(err)
		}
	}
}
