package imap_test

import (
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/roostmail/roost/core/imap"
)

func loggedIn(t *testing.T, srv *server, n int) (all []*conn) {
	t.Helper()
	sc := &script{t: t, file: t.Name()}
	for range n {
		c := srv.dial(sc)
		c.want("* OK …")
		c.send([]byte("a LOGIN demo secret\r\n"))
		c.want("a OK …")
		all = append(all, c)
	}
	return all
}

func TestSessionsOfOneUser(t *testing.T) {
	for _, limit := range []string{"user_sessions", "user_address_sessions"} {
		t.Run(limit, func(t *testing.T) {
			cfg := testConfig()
			if limit == "user_sessions" {
				cfg.UserSessions = 2
			} else {
				cfg.UserAddressSessions = 2
			}
			srv := startServer(t, cfg, true)
			in := loggedIn(t, srv, 2)
			late := srv.dial(in[0].sc)
			late.want("* OK …")
			for range 3 {
				late.send([]byte("a LOGIN demo secret\r\n"))
				late.want("a NO [LIMIT] … ([limits] " + limit + ").")
			}
			in[0].send([]byte("b LOGOUT\r\n"))
			in[0].want("* BYE Logging out")
			in[0].want("b OK …")
			in[0].wantEOF()
			wait(t, "it is gone", func() bool { return srv.imap.SessionsOf("demo") == 1 && srv.engine.Stats().Sessions == 2 })
			late.send([]byte("c LOGIN demo secret\r\n"))
			late.want("c OK …")
			st := srv.imap.Stats()
			if got := map[string]uint64{"user_sessions": st.RefusedUserSessions, "user_address_sessions": st.RefusedUserAddress}; got[limit] != 3 {
				t.Errorf("counted %v", got)
			}
			for _, c := range []*conn{in[1], late} {
				c.c.Close()
			}
			wait(t, "nobody is left", func() bool { return srv.engine.Stats().Sessions == 0 })
			if n := srv.imap.CountedAddresses(); n != 0 {
				t.Errorf("%d counts are left", n)
			}
		})
	}
}

func TestLoginRate(t *testing.T) {
	cfg := testConfig()
	cfg.LoginRate = 2
	srv := startServer(t, cfg, true)
	var now atomic.Int64
	now.Store(1_000_000)
	srv.imap.SetLoginClock(func() time.Time { return time.Unix(now.Load(), 0) })
	c := srv.dial(&script{t: t, file: t.Name()})
	c.want("* OK …")
	c.send([]byte("a LOGIN demo wrong\r\nb LOGIN demo wrong\r\nc LOGIN demo secret\r\nd AUTHENTICATE PLAIN AGRlbW8Ac2VjcmV0\r\n"))
	c.want("a NO [AUTHENTICATIONFAILED] …")
	c.want("b NO [AUTHENTICATIONFAILED] …")
	for _, tag := range []string{"c", "d"} { // right or wrong, nobody is asked
		c.want(tag + " NO [LIMIT] Too many logins from this address, try again later ([limits] login_rate).")
	}
	now.Add(1)
	c.send([]byte("e LOGIN demo secret\r\n"))
	c.want("e OK …")
	if st := srv.imap.Stats(); st.RefusedLoginRate != 2 || st.Users != 1 {
		t.Errorf("%+v", st)
	}
}

func TestFailuresOfAnAddressAreAnsweredLaterAndLater(t *testing.T) {
	cfg := testConfig()
	cfg.AuthFailureDelay, cfg.MaxFailureDelay = 20*time.Millisecond, 50*time.Millisecond
	srv := startServer(t, cfg, true)
	srv.logs.keep()
	sc := &script{t: t, file: t.Name()}
	for range 3 { // a connection each: the address is what counts
		c := srv.dial(sc)
		c.want("* OK …")
		c.send([]byte("a LOGIN demo wrong\r\n"))
		c.want("a NO [AUTHENTICATIONFAILED] …")
	}
	var delays []string
	for _, line := range strings.Split(srv.logs.String(), "\n") {
		if strings.Contains(line, "login refused") {
			delays = append(delays, line[strings.LastIndex(line, "delay="):])
		}
	}
	if want := []string{"delay=20ms", "delay=40ms", "delay=50ms"}; !slices.Equal(delays, want) {
		t.Errorf("the answers waited %v, want %v", delays, want)
	}
}

func TestTooManyBadCommandsAreCounted(t *testing.T) {
	cfg := testConfig()
	cfg.MaxBad = 1
	srv := startServer(t, cfg, true)
	c := srv.dial(&script{t: t, file: t.Name()})
	c.want("* OK …")
	c.send([]byte("a X\r\na X\r\n"))
	c.want("a BAD …")
	c.want("a BAD …")
	c.want("* BYE Too many invalid commands ([limits] bad_commands).")
	c.wantEOF()
	if st := srv.imap.Stats(); st != (imap.Stats{DroppedBad: 1}) {
		t.Errorf("%+v", st)
	}
}
