package e2e

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/roostmail/roost/cmd/internal/rig"
)

// TestAuthCache: what is remembered of passwords is used, outlives the plugin's users file if that is configured, and is forgotten at SIGHUP.
func TestAuthCache(t *testing.T) {
	r, dir := startAuth(t, authUsers, `
[auth]
cache_size = "1M"
failure_delay = "0s"
[plugins.passwd-file]
kind = "auth"
fail = "cached"
[log]
level = "debug"
`)
	try := func(user, password string) error { t.Helper(); return tryLogin(t, r.Addr, user, password) }
	figures := func() (f [4]float64) {
		t.Helper()
		for i, name := range []string{"hits", "negative_hits", "misses", "stale"} {
			v, err := r.Metric("roost_auth_cache_" + name + "_total")
			must(t, err)
			f[i] = v
		}
		return f
	}
	for range 2 {
		must(t, try("jane", "geheim-jane"))
		if err := try("joe", "geheim"); err == nil {
			t.Error("a wrong password was taken")
		}
	}
	if f := figures(); f != [4]float64{1, 1, 2, 0} {
		t.Errorf("%v", f)
	}
	passwd := filepath.Join(dir, "passwd")
	must(t, os.Rename(passwd, passwd+".away"))
	must(t, try("jane", "geheim-jane"))
	i := 0 // no attempt is remembered
	waitFor(t, "the plugin that sees no file", func() bool { i++; return isUnavailable(try("joe", fmt.Sprintf("geheim%d", i))) })
	must(t, syscall.Kill(r.PID(), syscall.SIGHUP))
	waitFor(t, "the cache that is empty", func() bool { return isUnavailable(try("jane", "geheim-jane")) })
	must(t, os.Rename(passwd+".away", passwd))
	waitFor(t, "the plugin that sees its file", func() bool { return try("jane", "geheim-jane") == nil })
}

// TestAuthCacheWithoutThePlugin: with cache_ttl = "0s" the plugin is always asked, and done without when it can not be.
func TestAuthCacheWithoutThePlugin(t *testing.T) {
	r, dir := startAuth(t, authUsers, `
[auth]
cache_size = "1M"
cache_ttl = "0s"
failure_delay = "0s"
[plugins.passwd-file]
kind = "auth"
fail = "cached"
`)
	try := func(user, password string) error { t.Helper(); return tryLogin(t, r.Addr, user, password) }
	must(t, try("jane", "geheim-jane"))
	must(t, os.Remove(filepath.Join(dir, "passwd")))
	i := 0 // no attempt is remembered
	waitFor(t, "the plugin that sees no file", func() bool { i++; return isUnavailable(try("joe", fmt.Sprintf("geheim%d", i))) })
	must(t, try("jane", "geheim-jane"))
	if n, err := r.Metric("roost_auth_cache_stale_total"); err != nil || n != 1 {
		t.Errorf("%v, %v", n, err)
	}
}

func isUnavailable(err error) bool {
	var refused *rig.Refused
	return err != nil && errors.As(err, &refused) && strings.Contains(refused.Answer, "[UNAVAILABLE]")
}

// tryLogin logs in, and out at once.
func tryLogin(t *testing.T, addr, user, password string) error {
	t.Helper()
	c, err := rig.Dial(addr)
	must(t, err)
	defer c.Close()
	_, err = c.Cmd("LOGIN %s %s", user, password)
	return err
}
