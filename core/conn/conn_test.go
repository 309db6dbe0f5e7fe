package conn

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// accepted makes a connection: fd is the server's raw end.
func accepted(t *testing.T) (fd int, client *net.TCPConn) {
	t.Helper()
	l := listening(t)
	client, err := net.DialTCP("tcp", nil, net.TCPAddrFromAddrPort(l.Addr()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	client.SetDeadline(time.Now().Add(20 * time.Second))
	p := poller(t)
	if err := p.AddListener(l.FD(), 7<<32); err != nil {
		t.Fatal(err)
	}
	if ev := wait(t, p); ev.Key != 7<<32 || ev.Ready != ReadyRead {
		t.Fatalf("event %+v", ev)
	}
	fd, peer, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	if want := client.LocalAddr().(*net.TCPAddr).AddrPort(); peer != netip.AddrPortFrom(want.Addr().Unmap(), want.Port()) {
		t.Errorf("peer %v, want %v", peer, want)
	}
	if got := Local(fd); got != l.Addr() {
		t.Errorf("local address %v, want %v", got, l.Addr())
	}
	if _, _, err := l.Accept(); err != ErrAgain {
		t.Errorf("second Accept: %v", err)
	}
	return fd, client
}

func listening(t *testing.T) *Listener {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l, err := Adopt(ln)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	return l
}

func poller(t *testing.T) *Poller {
	t.Helper()
	p, err := NewPoller()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

// wait returns the one event that comes.
func wait(t *testing.T, p *Poller) Event {
	t.Helper()
	evs, err := p.Wait(20 * time.Second)
	if err != nil || len(evs) != 1 {
		t.Fatalf("events %v, %v", evs, err)
	}
	return evs[0]
}

func TestReadiness(t *testing.T) {
	fd, client := accepted(t)
	p := poller(t)
	const key = Key(3<<32 | 5)
	if err := p.Add(fd, key); err != nil {
		t.Fatal(err)
	}
	if ev := wait(t, p); ev != (Event{key, ReadyWrite}) {
		t.Errorf("at the start: %+v", ev)
	}
	if evs, err := p.Wait(0); err != nil || len(evs) != 0 {
		t.Errorf("told twice: %v, %v", evs, err)
	}
	var b [16]byte
	if n, err := Read(fd, b[:]); n != 0 || err != ErrAgain {
		t.Errorf("Read of nothing: %d, %v", n, err)
	}
	client.Write([]byte("abc"))
	if ev := wait(t, p); ev.Ready&ReadyRead == 0 || ev.Ready&ReadyHangup != 0 {
		t.Errorf("with input: %+v", ev)
	}
	if n, err := Read(fd, b[:]); string(b[:n]) != "abc" || err != nil {
		t.Errorf("Read: %q, %v", b[:n], err)
	}
	client.CloseWrite()
	if ev := wait(t, p); ev.Ready&ReadyHangup == 0 || ev.Ready&ReadyGone != 0 {
		t.Errorf("at the end of input: %+v", ev)
	}
	if _, err := Read(fd, b[:]); err != io.EOF {
		t.Errorf("Read at the end: %v", err)
	}
	client.SetLinger(0)
	client.Close()
	if ev := wait(t, p); ev.Ready&ReadyGone == 0 {
		t.Errorf("after a reset: %+v", ev)
	}
}

func TestWriteTellsWhatWasTaken(t *testing.T) {
	fd, client := accepted(t)
	p := poller(t)
	if err := p.Add(fd, 1); err != nil {
		t.Fatal(err)
	}
	wait(t, p)
	data := bytes.Repeat([]byte("0123456789"), 4<<20)
	n, err := Write(fd, data)
	if err != ErrAgain || n <= 0 || n >= len(data) {
		t.Fatalf("Write of more than a socket holds: %d, %v", n, err)
	}
	got := make([]byte, n)
	if _, err := io.ReadFull(client, got); err != nil || !bytes.Equal(got, data[:n]) {
		t.Fatalf("the client got something else: %v", err)
	}
	if ev := wait(t, p); ev.Ready != ReadyWrite {
		t.Errorf("when there is room again: %+v", ev)
	}
}

func TestWakeInterruptsWait(t *testing.T) {
	p := poller(t)
	p.Wake()
	p.Wake()
	for range 2 {
		done := make(chan error)
		go func() {
			_, err := p.Wait(-1)
			done <- err
		}()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		p.Wake() // for the second round
	}
	if evs, err := p.Wait(0); err != nil || len(evs) != 0 {
		t.Errorf("a wake-up is an event: %v, %v", evs, err)
	}
}

func TestCloseWithUnreadInputKeepsOutput(t *testing.T) {
	fd, client := accepted(t)
	client.Write(make([]byte, 100_000))
	p := poller(t)
	p.Add(fd, 1)
	for ready := Ready(0); ready&ReadyRead == 0; {
		ready |= wait(t, p).Ready
	}
	Write(fd, []byte("bye"))
	dup, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0) // the cleanup's fd must stay its own
	if err != nil {
		t.Fatal(err)
	}
	Close(dup, true, false, make([]byte, 4096))
	if got, err := io.ReadAll(client); string(got) != "bye" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestAdoptNeedsADescriptor(t *testing.T) {
	if _, err := Adopt(noDescriptor{}); err == nil {
		t.Error("adopted")
	}
}

type noDescriptor struct{ net.Listener }

func TestTurnAwayWithoutConnections(t *testing.T) {
	l := listening(t)
	l.mu.Lock()
	had := l.reserve
	l.mu.Unlock()
	if err := l.turnAway(); !errors.Is(err, ErrAgain) {
		t.Errorf("turnAway with an empty queue: %v", err)
	}
	if had < 0 || l.reserve < 0 {
		t.Errorf("reserve %d, then %d", had, l.reserve)
	}
}

// What happens while nobody waits, or after a wait has ended by itself, is told all the same; and more than one Wait takes from the kernel too.
func TestWaitTellsEverything(t *testing.T) {
	p := poller(t)
	const n = 2*maxEvents + 1
	for i := range n {
		pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { unix.Close(pair[0]); unix.Close(pair[1]) })
		if i == n/2 {
			for range 3 { // with nothing left to tell
				for evs, err := p.Wait(0); len(evs) > 0 || err != nil; evs, err = p.Wait(0) {
					if err != nil {
						t.Fatal(err)
					}
				}
				if evs, err := p.Wait(time.Millisecond); err != nil || len(evs) != 0 {
					t.Fatalf("told twice: %v, %v", evs, err)
				}
			}
		}
		if err := p.Add(pair[0], Key(i)); err != nil {
			t.Fatal(err)
		}
	}
	seen := map[Key]bool{}
	for len(seen) < n-n/2 {
		evs, err := p.Wait(20 * time.Second)
		if err != nil || len(evs) == 0 {
			t.Fatalf("%d of %d told, then %v, %v", len(seen), n-n/2, evs, err)
		}
		for _, ev := range evs {
			if seen[ev.Key] || ev.Key < n/2 {
				t.Errorf("key %d is told twice", ev.Key)
			}
			seen[ev.Key] = true
		}
	}
}

// What WriteMore holds back goes with the next Write, and both of its pieces come in order, also when the socket takes only some of them.
func TestWriteMore(t *testing.T) {
	fd, client := accepted(t)
	a, b := bytes.Repeat([]byte("head "), 1000), bytes.Repeat([]byte("body "), 2<<20)
	n, err := WriteMore(fd, a, b)
	if err != ErrAgain || n <= len(a) || n >= len(a)+len(b) {
		t.Fatalf("WriteMore: %d, %v; want a part, and ErrAgain", n, err)
	}
	want := append(bytes.Clone(a), b...)[:n]
	got := make([]byte, n)
	if _, err := io.ReadFull(client, got); err != nil || !bytes.Equal(got, want) {
		t.Errorf("what was written first: %v", err)
	}
	for _, c := range [][2]string{{"a", "b"}, {"", "c"}, {"d", ""}, {"", ""}} {
		if n, err := WriteMore(fd, []byte(c[0]), []byte(c[1])); n != len(c[0]+c[1]) || err != nil {
			t.Errorf("WriteMore of %q: %d, %v", c, n, err)
		}
	}
	if _, err := Write(fd, []byte("e")); err != nil {
		t.Error(err)
	}
	if _, err := io.ReadFull(client, got[:5]); err != nil || string(got[:5]) != "abcde" {
		t.Errorf("got %q, %v", got[:5], err)
	}
	unix.Shutdown(fd, unix.SHUT_WR)
	if n, err := WriteMore(fd, []byte("a"), []byte("b")); n != 0 || err != unix.EPIPE {
		t.Errorf("after the end: %d, %v; want EPIPE", n, err)
	}
}
