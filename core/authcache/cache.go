// Package authcache remembers for a while what the auth plugin has said about passwords.
//
// An answer counts for an attempt that is the same in all that the plugin has seen but for the name of the session: user, authorization
// identity, service, addresses of client and server, and whether the connection was secured. So a rule of the plugin about networks holds, whatever
// it is. Of the password there is only a keyed hash (HMAC-SHA-256), whose key is the process's own and changes with Flush.
//
//   - A right password is taken for Config.TTL without asking. Another password is asked about; what the plugin says then replaces what was known.
//   - A wrong password is refused for Config.NegativeTTL. Only KindAuthFailed counts: why else a login is refused may change at any time.
//   - When the plugin can not be asked (KindUnavailable, or no answer within FailWait), a right password is taken for Config.FailTTL.
//
// Only passwords are remembered: other SASL mechanisms go to the plugin.
package authcache

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"maps"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/roostmail/roost/core/backend"
)

// FailWait is how long the plugin is waited for when there is an answer that would do without it.
const FailWait = 3 * time.Second

// Config holds the settings.
type Config struct {
	Size        int64         // bytes, [auth] cache_size
	TTL         time.Duration // of right passwords, [auth] cache_ttl
	NegativeTTL time.Duration // of wrong ones, [auth] cache_negative_ttl; 0 = none are remembered
	FailTTL     time.Duration // of right ones without the plugin, [auth] cache_fail_ttl; 0 = fail = "closed"
}

// Stats are the cache's figures. Counters count since the start.
type Stats struct {
	Entries int
	Bytes   int64

	Hits         uint64 // right passwords that were taken without asking
	NegativeHits uint64 // wrong ones that were refused without asking
	Misses       uint64 // attempts that the plugin was asked about
	Stale        uint64 // right passwords that were taken because the plugin could not be asked
}

// Cache is an auth plugin with a memory. It implements backend.Auth, backend.SASL and backend.UserLookup: the latter two fail with KindUnsupported if the plugin has
// them not. Safe for concurrent use.
type Cache struct {
	backend.Auth
	cfg Config
	now func() time.Time

	hits, negativeHits, misses, stale atomic.Uint64

	mu    sync.Mutex
	key   [32]byte
	right lru // three quarters of the size: wrong passwords, of which anybody can send many, drive no right ones out
	wrong lru
}

var (
	_ backend.SASL       = (*Cache)(nil)
	_ backend.UserLookup = (*Cache)(nil)
)

// New returns a cache before a plugin. now is the clock; nil: the system's.
func New(cfg Config, auth backend.Auth, now func() time.Time) *Cache {
	if now == nil {
		now = time.Now
	}
	c := &Cache{Auth: auth, cfg: cfg, now: now}
	c.Flush()
	return c
}

// Flush forgets everything.
func (c *Cache) Flush() {
	c.mu.Lock()
	defer c.mu.Unlock()
	rand.Read(c.key[:]) // never fails
	c.right, c.wrong = newLRU(c.cfg.Size-c.cfg.Size/4), newLRU(c.cfg.Size/4)
}

// Stats returns the cache's figures.
func (c *Cache) Stats() Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	return Stats{
		Entries: len(c.right.entries) + len(c.wrong.entries), Bytes: c.right.bytes + c.wrong.bytes,
		Hits: c.hits.Load(), NegativeHits: c.negativeHits.Load(), Misses: c.misses.Load(), Stale: c.stale.Load(),
	}
}

// VerifyPassword implements backend.Auth.
func (c *Cache) VerifyPassword(ctx context.Context, r backend.PasswordRequest) (*backend.Identity, error) {
	k := keyOf(&r)
	found, digest := c.look(k, r.Password)
	switch {
	case found.fresh:
		c.hits.Add(1)
		return clone(found.identity), nil
	case found.refused:
		c.negativeHits.Add(1)
		return nil, &backend.Error{Kind: backend.KindAuthFailed, Message: "Authentication failed", Detail: "wrong password, remembered ([auth] cache_negative_ttl)"}
	}
	c.misses.Add(1)
	asked := ctx
	if found.identity != nil {
		var cancel context.CancelFunc
		asked, cancel = context.WithTimeout(ctx, FailWait)
		defer cancel()
	}
	id, err := c.Auth.VerifyPassword(asked, r)
	switch {
	case err == nil && id != nil:
		c.learn(k, digest, clone(id))
	case err == nil:
	case found.identity != nil && ctx.Err() == nil && unasked(asked, err):
		c.stale.Add(1)
		return clone(found.identity), nil
	default:
		c.unlearn(k, digest, backend.KindOf(err))
	}
	return id, err
}

// unasked reports whether the plugin could not be asked.
func unasked(asked context.Context, err error) bool {
	kind := backend.KindOf(err)
	return kind == backend.KindUnavailable || kind == backend.KindCancelled && asked.Err() != nil
}

// StepSASL implements backend.SASL.
func (c *Cache) StepSASL(ctx context.Context, r backend.SASLRequest) (*backend.SASLAnswer, error) {
	s, ok := c.Auth.(backend.SASL)
	if !ok {
		return nil, backend.Errorf(backend.KindUnsupported, "no SASL mechanisms")
	}
	return s.StepSASL(ctx, r)
}

// LookupUser implements backend.UserLookup.
func (c *Cache) LookupUser(ctx context.Context, name string) (*backend.User, error) {
	l, ok := c.Auth.(backend.UserLookup)
	if !ok {
		return nil, backend.Errorf(backend.KindUnsupported, "no user lookup")
	}
	return l.LookupUser(ctx, name)
}

// digest is the keyed hash of a password in the attempt of a key.
type digest struct {
	sum  [sha256.Size]byte
	made [32]byte // the key of the hash: what comes back after a Flush is not learned
}

// known is what the cache knows of an attempt.
type known struct {
	fresh    bool // the password is right
	refused  bool // it is wrong
	identity *backend.Identity
}

// look looks an attempt up. identity is set for a right password that may be taken at all: at once if it is fresh, else without the plugin.
func (c *Cache) look(k, password string) (found known, d digest) {
	c.mu.Lock()
	defer c.mu.Unlock()
	d.made = c.key
	d.sum = sum(&c.key, k, password)
	now := c.now()
	if e := c.right.get(k); e != nil && hmac.Equal(e.digest[:], d.sum[:]) {
		switch age := now.Sub(e.at); {
		case age < 0, !e.identity.Expires.IsZero() && !now.Before(e.identity.Expires):
		case age < c.cfg.TTL:
			return known{fresh: true, identity: e.identity}, d
		case age < c.cfg.FailTTL:
			found.identity = e.identity
		}
	}
	if e := c.wrong.get(k); found.identity == nil && e != nil && hmac.Equal(e.digest[:], d.sum[:]) {
		age := now.Sub(e.at)
		found.refused = age >= 0 && age < c.cfg.NegativeTTL
	}
	return found, d
}

// learn notes a right password.
func (c *Cache) learn(k string, d digest, id *backend.Identity) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if d.made == c.key {
		c.wrong.remove(k)
		c.right.put(&entry{key: k, digest: d.sum, at: c.now(), identity: id})
	}
}

// unlearn notes that the plugin has let nobody in. What was known of another password may be wrong as well by now; only without the plugin it is
// not forgotten.
func (c *Cache) unlearn(k string, d digest, why backend.ErrorKind) {
	switch why {
	case backend.KindAuthFailed, backend.KindAuthDenied, backend.KindAuthExpired:
	default:
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if d.made != c.key {
		return
	}
	c.right.remove(k)
	if why == backend.KindAuthFailed && c.cfg.NegativeTTL > 0 {
		c.wrong.put(&entry{key: k, digest: d.sum, at: c.now()})
	}
}

// keyOf returns what an attempt is known by.
func keyOf(r *backend.PasswordRequest) string {
	b := make([]byte, 0, 64+len(r.User)+len(r.AuthzID)+len(r.Service))
	for _, s := range [...]string{r.User, r.AuthzID, r.Service} {
		b = append(binary.AppendUvarint(b, uint64(len(s))), s...)
	}
	for _, a := range [...]netip.Addr{r.Remote, r.Local} {
		s := a.String()
		b = append(binary.AppendUvarint(b, uint64(len(s))), s...)
	}
	if r.Secured {
		return string(append(b, 1))
	}
	return string(append(b, 0))
}

func sum(key *[32]byte, k, password string) (out [sha256.Size]byte) {
	h := hmac.New(sha256.New, key[:])
	h.Write(binary.AppendUvarint(nil, uint64(len(k))))
	h.Write([]byte(k))
	h.Write([]byte(password))
	h.Sum(out[:0])
	return out
}

// clone returns an identity that its caller may change.
func clone(id *backend.Identity) *backend.Identity {
	c := *id
	c.User.Fields, c.Fields = maps.Clone(id.User.Fields), maps.Clone(id.Fields)
	return &c
}
