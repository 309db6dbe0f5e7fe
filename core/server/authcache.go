package server

import (
	"github.com/roostmail/roost/core/authcache"
	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/core/config"
)

// remember returns the auth plugin with a cache before it, if one is configured.
func (s *Server) remember(auth backend.Auth) backend.Auth {
	c := s.opts.Config
	if c.AuthCache.Size == 0 {
		return auth
	}
	cfg := authcache.Config{Size: c.AuthCache.Size, TTL: c.AuthCache.TTL, NegativeTTL: c.AuthCache.NegativeTTL}
	if c.Auth.External.Process.Fail == config.FailCached {
		cfg.FailTTL = c.AuthCache.FailTTL
	}
	s.cache = authcache.New(cfg, auth, nil)
	return s.cache
}

// cacheStats returns the figures of the cache, zeroes without one.
func (s *Server) cacheStats() authcache.Stats {
	if s.cache == nil {
		return authcache.Stats{}
	}
	return s.cache.Stats()
}
