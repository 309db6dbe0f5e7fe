package herd

import (
	"net"
	"net/rpc"
	"strings"
	"testing"
	"time"
)

func TestQuantileIsAMeasuredTime(t *testing.T) {
	var l Latencies
	for i := 100; i >= 1; i-- {
		l = append(l, time.Duration(i))
	}
	for q, want := range map[float64]time.Duration{0: 1, 0.001: 1, 0.5: 50, 0.501: 51, 0.99: 99, 0.999: 100, 1: 100} {
		if got := l.Quantile(q); got != want {
			t.Errorf("quantile %v of 1 to 100: %d, want %d", q, got, want)
		}
	}
	if got := (Latencies{}).Quantile(0.5); got != 0 {
		t.Errorf("of none: %v", got)
	}
	if l[0] != 100 {
		t.Error("Quantile sorted its input")
	}
}

func TestMixHasItsWeights(t *testing.T) {
	m, err := ParseMix("selected=70, idle=29,unsent")
	if err != nil {
		t.Fatal(err)
	}
	if again, err := ParseMix(m.String()); err != nil || again != m {
		t.Errorf("%s is read as %v, %v", m, again, err)
	}
	counts := map[State]int{}
	longest, run := 0, 0
	for i := range 1000 {
		counts[m.state(i)]++
		if i > 0 && m.state(i) == Selected && m.state(i-1) == Selected {
			run++
			longest = max(longest, run)
		} else {
			run = 0
		}
	}
	if counts[Selected] != 700 || counts[Idle] != 290 || counts[Unsent] != 10 {
		t.Errorf("1000 sessions: %v", counts)
	}
	if longest > 10 {
		t.Errorf("%d selected sessions in a row", longest+1)
	}
	for _, text := range []string{"", "asleep", "idle=-1", "idle=x", "idle=0", "idle=9999999"} {
		if _, err := ParseMix(text); err == nil {
			t.Errorf("%q is accepted", text)
		}
	}
}

// TestEveryStateHasEveryVersion: neither the number of states nor that of versions lets one go without the other.
func TestEveryStateHasEveryVersion(t *testing.T) {
	for _, text := range []string{"selected,idle", "selected=3,idle,command", "idle"} {
		m, err := ParseMix(text)
		if err != nil {
			t.Fatal(err)
		}
		for _, tls := range []string{"none+1.3", "mix", "1.3", ""} {
			o := Options{TLS: tls, Mix: m}
			counts := map[string]int{}
			for i := range 600 {
				counts[m.state(i).String()+" "+o.version(i)]++
			}
			states, versions := len(strings.Split(text, ",")), len(strings.Split(strings.ReplaceAll(tls, "mix", "a+b+c"), "+"))
			if len(counts) != states*versions {
				t.Errorf("%s, %s: %v", text, tls, counts)
			}
		}
	}
}

func TestSourcesAreDistinctAndLoopback(t *testing.T) {
	per := map[string]int{}
	for i := range 100_000 {
		a := source(12, i)
		if !a.IsLoopback() || a.As4()[1] != 12 || a.As4()[3] == 0 || a.As4()[3] == 255 {
			t.Fatalf("session %d comes from %s", i, a)
		}
		per[a.String()]++
	}
	for a, n := range per {
		if n > perAddress {
			t.Errorf("%d sessions from %s", n, a)
		}
	}
}

func TestRefused(t *testing.T) {
	for line, want := range map[string]bool{
		"t1 OK done": false, "t1 NO [LIMIT] max_sessions": true, "t12 BAD what": true, "* BYE bye": true, "* 1 EXISTS": false, "+ idling": false, "": false, "t": false,
	} {
		if err := refused([]byte(line)); (err != nil) != want {
			t.Errorf("%q: %v", line, err)
		}
	}
}

func TestSharesAddUp(t *testing.T) {
	for _, n := range []int{0, 1, 2, 7, 19_000} {
		sum := 0
		for i := range 3 {
			sum += share(n, i, 3)
		}
		if sum != n {
			t.Errorf("%d is shared as %d", n, sum)
		}
	}
}

// TestFleetFindsItsMethods: net/rpc leaves out, with a log line only, methods that it can not serve.
func TestFleetFindsItsMethods(t *testing.T) {
	in, out := net.Pipe()
	served := make(chan error, 1)
	go func() { served <- Serve(in, in) }()
	c := rpc.NewClient(out)
	for _, m := range []string{"Check", "Wake", "Listen", "Await", "Tell", "Close"} {
		args := none(0)
		switch m {
		case "Wake":
			args = Waking{}
		case "Tell":
			args = 1
		}
		var reply any = &struct{ OK bool }{}
		switch m {
		case "Check":
			reply = &Checked{}
		case "Wake":
			reply = &Woken{}
		case "Await":
			reply = &Heard{}
		case "Tell":
			reply = &Told{}
		}
		if err := c.Call("Herd."+m, args, reply); err == nil || err.Error() != errNoHerd.Error() {
			t.Errorf("%s without a herd: %v", m, err)
		}
	}
	if err := c.Call("Herd.Logins", LoggingIn{Options: Options{Addr: "nowhere"}}, &LoggedIn{}); err == nil || !strings.Contains(err.Error(), "ip:port") {
		t.Errorf("Logins: %v", err)
	}
	if err := c.Call("Herd.Open", Options{}, &Opened{}); err != nil {
		t.Errorf("Open of none: %v", err)
	}
	c.Close()
	if err := <-served; err != nil {
		t.Error(err)
	}
}
