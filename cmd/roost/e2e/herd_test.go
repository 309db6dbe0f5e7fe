package e2e

import (
	"fmt"
	"testing"
	"time"

	"github.com/roostmail/roost/cmd/internal/herd"
	"github.com/roostmail/roost/cmd/internal/rig"
)

// startForHerd starts a roost with users u0 …, whose INBOX has a message each.
func startForHerd(t *testing.T, users int) *rig.Roost {
	t.Helper()
	names := make([]string, users)
	for i := range names {
		names[i] = fmt.Sprintf("u%d", i)
	}
	r := startRoost(t, rig.RoostOptions{Home: mailHome(t), Users: names, Storage: `options.mail_fsync = "never"`})
	for _, u := range names {
		c, err := rig.Login(r.Addr, u)
		must(t, err)
		cmd(t, c, "APPEND INBOX {21+}\r\nSubject: one\r\n\r\ntext\r\n")
		c.Close()
	}
	return r
}

func openHerd(t *testing.T, o herd.Options) *herd.Herd {
	t.Helper()
	h, opened, err := herd.Open(o)
	t.Cleanup(h.Close)
	must(t, err)
	if opened.Sessions != o.N {
		t.Fatalf("%d sessions of %d are open", opened.Sessions, o.N)
	}
	return h
}

func everyState(t *testing.T) herd.Mix {
	t.Helper()
	m, err := herd.ParseMix("unauthenticated,authenticated,selected,idle,command,literal,unsent,compressed")
	must(t, err)
	return m
}

// TestHerdOfEveryState: sessions in every state in which one can sleep, a third each in plaintext, TLS 1.2 and TLS 1.3, are alive
// afterwards, go on with what they were doing, and are alive again.
func TestHerdOfEveryState(t *testing.T) {
	r := startForHerd(t, 1)
	h := openHerd(t, herd.Options{Addr: r.Addr, TLSAddr: r.TLSAddr, Users: "u0", N: 344, TLS: "mix", Mix: everyState(t)})
	waitFor(t, "more than a record kept for the 4 in 8 with a command, a literal, output that waits, or compression", func() bool {
		return metric(t, r, "roost_session_extras") >= 4*42 && metric(t, r, "roost_sessions_compressed") >= 42
	})
	for range 2 {
		if c := h.Check(); c.Lost != 0 || c.Alive != 344 {
			t.Fatalf("%d alive, %d lost %v: %s", c.Alive, c.Lost, c.LostIn, c.Error)
		}
	}
	for _, c := range []herd.Command{herd.Noop, herd.DoneIdle, herd.Fetch, herd.DoneFetch} {
		for _, w := range []herd.Waking{{Command: c, Clients: 4, For: time.Minute}, {Command: c, Rate: 2000, For: time.Minute}} {
			got := h.Wake(w)
			want := map[herd.Command]int{herd.Noop: 129 + 43, herd.DoneIdle: 43, herd.Fetch: 43, herd.DoneFetch: 43}[c]
			if got.Lost != 0 || got.Left != 0 || len(got.Latencies) < want-2 || len(got.Latencies) > want {
				t.Errorf("%+v: %d answers, want about %d; %d lost, %d unanswered %s", w, len(got.Latencies), want, got.Lost, got.Left, got.Error)
			}
		}
	}
	if c := h.Check(); c.Lost != 0 || c.In == 0 || c.Out == 0 {
		t.Errorf("%+v", c)
	}
}

// TestHerdHearsAChange: a change reaches every session that idles in the mailbox.
func TestHerdHearsAChange(t *testing.T) {
	r := startForHerd(t, 1)
	mix, err := herd.ParseMix("idle")
	must(t, err)
	h := openHerd(t, herd.Options{Addr: r.Addr, TLSAddr: r.TLSAddr, Users: "u0", N: 300, TLS: "mix", Mix: mix})
	c := login(t, r.Addr, "u0")
	cmd(t, c, "SELECT INBOX")
	h.Listen()
	start := herd.Now()
	cmd(t, c, `STORE 1 +FLAGS (\Flagged)`)
	got := h.Await()
	if got.Sessions != 300 || got.Missing != 0 || got.First < start || got.Last < got.First {
		t.Errorf("change at %v: %+v", start, got)
	}
	if c := h.Check(); c.Lost != 0 {
		t.Errorf("%+v", c)
	}
}

// TestHerdIsTold: sessions that have a mailbox selected are told of a message that comes and goes, and are what they were.
func TestHerdIsTold(t *testing.T) {
	r := startForHerd(t, 1)
	mix := everyState(t)
	h := openHerd(t, herd.Options{Addr: r.Addr, TLSAddr: r.TLSAddr, Users: "u0", N: 24, TLS: "mix", Mix: mix})
	if got, err := h.Tell(100); err != nil || got.Asked != 9 || got.Wrong != 0 {
		t.Errorf("%+v, %v", got, err)
	}
	if c := h.Check(); c.Lost != 0 {
		t.Errorf("%+v", c)
	}
}

// TestHerdCountsTheLost: sessions whose server is gone are lost, and named.
func TestHerdCountsTheLost(t *testing.T) {
	r := startForHerd(t, 20)
	mix := everyState(t)
	mix[herd.Unsent] = 0 // what the kernel had for it already still arrives
	h := openHerd(t, herd.Options{Addr: r.Addr, Users: "u%d", N: 20, Mix: mix})
	r.Kill()
	if c := h.Check(); c.Lost != 20 || c.Alive != 0 || c.Error == "" {
		t.Errorf("%+v", c)
	}
}

// TestHerdLogsIn: logins are counted, in plaintext if nothing else is said.
func TestHerdLogsIn(t *testing.T) {
	r := startForHerd(t, 3)
	for _, version := range []string{"", "1.3"} {
		in, err := herd.Logins(herd.Options{Addr: r.Addr, TLSAddr: r.TLSAddr, Users: "u%d", N: 3, Clients: 2, TLS: version}, 100*time.Millisecond)
		if err != nil || in.N < 2 || len(in.Latencies) != in.N {
			t.Errorf("TLS %q: %d logins, %d latencies, %v", version, in.N, len(in.Latencies), err)
		}
	}
}

// metric returns the value of a metric without labels.
func metric(t *testing.T, r *rig.Roost, name string) float64 {
	t.Helper()
	v, err := r.Metric(name)
	must(t, err)
	return v
}
