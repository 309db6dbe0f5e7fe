package config

import "time"

// AuthCache is what [auth] says of passwords that are remembered.
type AuthCache struct {
	Size        int64         // bytes; 0 = none are
	TTL         time.Duration // of right ones
	NegativeTTL time.Duration // of wrong ones; 0 = none
	FailTTL     time.Duration // of right ones without the plugin, if its fail is FailCached
}

// FailCached is Process.Fail of an auth plugin without which passwords that were right a while ago are taken.
const FailCached = "cached"

func readAuthCache(t *table) AuthCache {
	return AuthCache{
		Size:        t.size("cache_size", 0, 0, 1<<40),
		TTL:         t.duration("cache_ttl", time.Hour),
		NegativeTTL: t.duration("cache_negative_ttl", time.Minute),
		FailTTL:     t.duration("cache_fail_ttl", 24*time.Hour),
	}
}

// check reports what does not fit the plugin.
func (c AuthCache) check(t *table, p Plugin) {
	if p.External.Process.Fail == FailCached && c.Size == 0 {
		t.fail("cache_size", "must not be 0 with fail = \"cached\" of the plugin")
	}
}
