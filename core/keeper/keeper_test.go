package keeper

import (
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/roostmail/roost/core/quiet"
)

func pipe(t *testing.T) (r, w int) {
	t.Helper()
	var p [2]int
	if err := unix.Pipe2(p[:], unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	return p[0], p[1]
}

func testKeeper() *Keeper {
	return &Keeper{o: Options{Log: slog.New(slog.DiscardHandler)}, events: make(chan event, 100), quiet: quiet.NewWatch(time.Hour, func() {})}
}

// connect returns a client, and the keeper's side of its core, whose messages are taken.
func connect(t *testing.T, k *Keeper) (*Client, *core, chan error) {
	t.Helper()
	s, f, err := newPair()
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.SetNonblock(int(f.Fd()), true); err != nil {
		t.Fatal(err)
	}
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	f.Close()
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		t.Fatal(err)
	}
	c := &core{s: s, acks: make(chan struct{}, ackWindow+1), gone: make(chan struct{})}
	client := newClient(newSocket(os.NewFile(uintptr(fd), "client")))
	done := make(chan error, 1)
	go func() { done <- k.read(c); close(c.gone) }() // ends with the client
	t.Cleanup(func() { client.Close() })
	return client, c, done
}

func next(t *testing.T, k *Keeper, want kind) event {
	t.Helper()
	select {
	case e := <-k.events:
		if e.kind != want {
			t.Fatalf("event %q, want %q", e.kind, want)
		}
		return e
	case <-t.Context().Done():
		t.Fatalf("no event, want %q", want)
	}
	return event{}
}

// TestDescriptorsCostHardlyAnyGarbage: a keeper lets descriptors come and go, and nothing else. Its garbage for a message would be a part of what each
// session costs.
func TestDescriptorsCostHardlyAnyGarbage(t *testing.T) {
	k := testKeeper()
	ours, theirs, err := newPair()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ours.file.Close(); theirs.Close() })
	r, w := pipe(t)
	t.Cleanup(func() { unix.Close(r); unix.Close(w) })
	var handles []uint64
	var fds []int
	for slot := range uint64(MaxFDs) {
		handles, fds = append(handles, 1+slot|3<<32), append(fds, r)
	}
	hold, drop, rights := appendHandles([]byte{byte(kindHold)}, handles), appendHandles([]byte{byte(kindDrop)}, handles), unix.UnixRights(fds...)
	to := int(theirs.Fd())
	c := &core{s: ours}
	take := func(msg, oob []byte) {
		if err := unix.Sendmsg(to, msg, oob, nil, 0); err != nil {
			t.Fatal(err)
		}
		p, err := ours.receive()
		if err == nil {
			err = k.take(c, &p)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	n := testing.AllocsPerRun(100, func() {
		take(hold, rights)
		if k.store.count() != MaxFDs {
			t.Fatalf("%d are held", k.store.count())
		}
		take(drop, nil)
	})
	if n > 2 || k.store.count() != 0 { // unix.Recvmsg makes room for an address, each time
		t.Errorf("%v allocations for two messages, %d are held", n, k.store.count())
	}
}

// TestEstatePasses: what one core has given, the next one gets, but for what was dropped.
func TestEstatePasses(t *testing.T) {
	k := testKeeper()
	a, ca, _ := connect(t, k)
	const n = 3000
	var writers []int
	for first := 1; first <= n; first += 100 {
		var handles []uint64
		var fds []int
		for slot := first; slot < first+100; slot++ {
			r, w := pipe(t)
			handles, fds, writers = append(handles, uint64(slot)|7<<32), append(fds, r), append(writers, w)
		}
		for {
			sent, err := a.Hold(handles, fds)
			if err != nil {
				t.Fatal(err)
			}
			if sent {
				break
			}
			if err := a.Wait(); err != nil {
				t.Fatal(err)
			}
		}
		for _, fd := range fds {
			unix.Close(fd)
		}
	}
	// Of another generation, of no slot, and two that are right.
	if err := a.Drop([]uint64{1 | 6<<32, 1 << 27, 5 | 7<<32, n | 7<<32}); err != nil {
		t.Fatal(err)
	}
	memfd, err := unix.MemfdCreate("table", unix.MFD_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Tables([]string{"table"}, []int{memfd}, map[string]int{"x": 5}); err != nil {
		t.Fatal(err)
	}
	unix.Close(memfd)
	lr, lw := pipe(t)
	if err := a.Listener("imap", lr); err != nil {
		t.Fatal(err)
	}
	unix.Close(lr)
	if err := a.Frozen(n-2, 0); err != nil {
		t.Fatal(err)
	}
	next(t, k, kindFrozen)
	if k.store.count() != n-2 {
		t.Fatalf("%d are held", k.store.count())
	}
	k.core = ca

	b, cb, _ := connect(t, k)
	k.core = cb
	k.held = "layout"
	go func() { // ends with the test's last message
		for e := range k.events {
			k.said(e)
		}
	}()
	ls, inherits, err := b.Hello("layout")
	if err != nil || !inherits || len(ls) != 1 || ls["imap"] == nil {
		t.Fatalf("%v, %v, %v", ls, inherits, err)
	}
	ls["imap"].Close()
	e, err := b.Take()
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	var state map[string]int
	if err := json.Unmarshal(e.State, &state); err != nil || state["x"] != 5 || len(e.Tables) != 1 {
		t.Errorf("state %s, tables %v, %v", e.State, e.Tables, err)
	}
	if len(e.Handles) != n-2 || slices.Contains(e.Handles, 5|7<<32) || slices.Contains(e.Handles, n|7<<32) {
		t.Errorf("%d handles", len(e.Handles))
	}
	// Each descriptor is that of its slot.
	for i, h := range e.Handles {
		if i%97 != 0 {
			continue
		}
		if _, err := unix.Write(writers[uint32(h)-1], []byte{byte(h)}); err != nil {
			t.Fatal(err)
		}
		var got [1]byte
		if _, err := unix.Read(e.FDs[i], got[:]); err != nil || got[0] != byte(h) {
			t.Fatalf("slot %d has another's descriptor", uint32(h))
		}
	}
	for _, w := range append(writers, lw) {
		unix.Close(w)
	}
	k.store.keepListeners(nil)
	k.store.forget()
	if k.store.count() != 0 || k.store.inherits() {
		t.Error("something is left")
	}
}

// TestOtherLayoutGetsNoSessions: after a death, a program that keeps them in another way starts without.
func TestOtherLayoutGetsNoSessions(t *testing.T) {
	k := testKeeper()
	r, w := pipe(t)
	defer unix.Close(w)
	if err := k.store.hold([]uint64{1 | 1<<32}, []int{r}); err != nil {
		t.Fatal(err)
	}
	null, err := unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	k.store.setTables(tablesNote{Names: []string{"x"}}, []int{null})
	c, core, _ := connect(t, k)
	k.core, k.held = core, "old"
	go func() { // ends with the test's last message
		for e := range k.events {
			k.said(e)
		}
	}()
	if _, inherits, err := c.Hello("new"); err != nil || inherits {
		t.Errorf("inherits %v, %v", inherits, err)
	}
	if k.store.count() != 0 {
		t.Error("descriptors are held")
	}
}

// TestFirstCoreThatFails: when no core was ever ready, its end is that of the server, however far it had come. Later it is started again.
func TestFirstCoreThatFails(t *testing.T) {
	k := testKeeper()
	null, err := unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	k.store.setTables(tablesNote{Names: []string{"x"}}, []int{null})
	defer k.store.forget()
	k.core = &core{cmd: &exec.Cmd{Process: &os.Process{}}, layout: "layout"}
	if done, code := k.ended(event{core: k.core, code: 3}); !done || code != 3 {
		t.Errorf("it never was ready: done %v, code %d", done, code)
	}
	k.ready(k.core, readyNote{})
	if done, _ := k.ended(event{core: k.core, code: 3}); done || k.again == nil {
		t.Error("one that was ready is not started again")
	}
}

// TestNonsenseEndsTheCore: messages that no core sends.
func TestNonsenseEndsTheCore(t *testing.T) {
	for _, m := range []struct {
		kind kind
		body string
		fds  bool
	}{
		{kindHold, "1234567", false}, {kindHold, "", true}, {kindDrop, "12345678", true}, {kindDrop, "1", false},
		{kindTables, "{", false}, {kindTables, `{"Names":["a","b"]}`, true}, {kindListener, `{"Key":"x"}`, false},
		{kindAck + 100, "", false}, {kindHello, "[]", false}, {kindReady, "", false}, {kindFrozen, "x", false},
		{kindHold, "\xff\xff\xff\x7f\x01\x00\x00\x00", true}, // a slot beyond all
		{kindDrop, strings.Repeat("\x00", maxPacket), false}, // of which the end would be cut off
		{kindHold, strings.Repeat("\x00", maxPacket), true},
	} {
		k := testKeeper()
		c, _, done := connect(t, k)
		r, w := pipe(t)
		var fds []int
		if m.fds {
			fds = []int{r}
		}
		if err := c.s.send(m.kind, []byte(m.body), fds...); err != nil {
			t.Fatal(err)
		}
		unix.Close(r)
		if err := <-done; err == nil || err == errClosed {
			t.Errorf("%q %q: %v", m.kind, m.body, err)
		}
		// Its descriptor was closed: nobody reads the pipe.
		if m.fds {
			if _, err := unix.Write(w, []byte{1}); err != unix.EPIPE {
				t.Errorf("%q %q: the descriptor is open: %v", m.kind, m.body, err)
			}
		}
		unix.Close(w)
	}
}

// TestCoreAnswersOperators: a connection to the control socket goes to core with its request.
func TestCoreAnswersOperators(t *testing.T) {
	k := testKeeper()
	client, c, _ := connect(t, k)
	k.core, k.requests = c, make(chan *request)
	path := filepath.Join(t.TempDir(), "control.sock")
	control, err := listenControl(path, k.requests, k.o.Log)
	if err != nil {
		t.Fatal(err)
	}
	defer control.close()
	go func() { // ends with its messages
		for range 2 {
			k.request(<-k.requests)
		}
	}()
	if err := Follow(path, Request{Op: OpSessions}, func(line []byte) error {
		if !strings.Contains(string(line), "starting or ending") {
			t.Errorf("%s", line)
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
	c.ready = true
	go client.listen() // ends with the connection
	go func() {        // ends with its answer
		a := <-client.Asked
		_, _ = io.WriteString(a.Conn, "for "+a.User+"\nend\n")
		a.Conn.Close()
	}()
	var got []string
	if err := Follow(path, Request{Op: OpSessions, User: "jane"}, func(line []byte) error {
		got = append(got, string(line))
		return nil
	}); err != nil || !slices.Equal(got, []string{"for jane", "end"}) {
		t.Errorf("%q, %v", got, err)
	}
}

// What a new core says why it ends is in the answer to who has asked for it, as far as there is room.
func TestRefusalIsTold(t *testing.T) {
	k := testKeeper()
	client, c, _ := connect(t, k)
	k.core, k.next = &core{}, c
	for why, want := range map[string]string{"option colour\nis refused": "option colour\nis refused", strings.Repeat("ä", maxPacket): strings.Repeat("ä", maxWhy/2)} {
		k.next, k.reload = c, &reload{request: &request{answers: make(chan Answer, 1)}}
		if err := client.Refused(errors.New(why)); err != nil {
			t.Fatal(err)
		}
		k.said(next(t, k, kindRefused))
		asked := k.reload.request
		if done, _ := k.ended(event{core: c, code: 1, err: errors.New("exit status 1")}); done {
			t.Error("the keeper ends with a core that has nothing")
		}
		if a := <-asked.answers; a.Error != "the new core ended (exit status 1): "+want {
			t.Errorf("answer %.100q, want %.100q", a.Error, want)
		}
	}
}

// TestFailedReloadLeavesNoListener: an address that only a core has opened which then failed is not listened at any more.
func TestFailedReloadLeavesNoListener(t *testing.T) {
	for name, fails := range map[string]func(k *Keeper, c *core){
		"it ends":      func(*Keeper, *core) {},
		"it is killed": func(k *Keeper, c *core) { k.fail("too slow") },
	} {
		k := testKeeper()
		served, w := pipe(t)
		unix.Close(w)
		k.store.addListener("served", served)
		k.core = &core{cmd: &exec.Cmd{Process: &os.Process{}}}
		k.ready(k.core, readyNote{Listeners: []string{"served"}})
		client, c, done := connect(t, k)
		c.cmd = &exec.Cmd{Process: &os.Process{}}
		k.next, k.reload = c, &reload{request: &request{answers: make(chan Answer, 1)}}
		r, w := pipe(t)
		if err := client.Listener("new", r); err != nil {
			t.Fatal(err)
		}
		unix.Close(r)
		client.Close()
		<-done // all that it has said is heard
		fails(k, c)
		if ended, _ := k.ended(event{core: c, code: 1}); ended {
			t.Errorf("%s: the keeper ends", name)
		}
		if _, err := unix.Write(w, []byte{1}); err != unix.EPIPE {
			t.Errorf("%s: its listener is open: %v", name, err)
		}
		if len(k.store.listeners) != 1 || k.store.listeners[0].key != "served" {
			t.Errorf("%s: %+v", name, k.store.listeners)
		}
		k.store.keepListeners(nil)
		unix.Close(w)
	}
}

// TestNoReloadWhileCoreFreezes: when the next core dies while the one before gives its sessions away, that one can not be told to do so once more, and a
// third one must not get what it gives before it is prepared.
func TestNoReloadWhileCoreFreezes(t *testing.T) {
	k := testKeeper()
	k.o.Program = filepath.Join(t.TempDir(), "nothing") // is not to be started
	client, c, _ := connect(t, k)
	c.cmd = &exec.Cmd{Process: &os.Process{}}
	k.core = c
	k.ready(c, readyNote{})
	dead := &core{cmd: &exec.Cmd{Process: &os.Process{}}}
	k.next, k.reload = dead, &reload{request: &request{answers: make(chan Answer, 1)}}
	go client.listen() // ends with the connection
	k.said(event{core: dead, kind: kindPrepared})
	<-client.Freeze
	if done, _ := k.ended(event{core: dead, code: 1}); done {
		t.Fatal("the keeper ends")
	}
	again := &request{Request: Request{Op: OpBinary}, answers: make(chan Answer, 1)}
	k.request(again)
	if a := <-again.answers; !strings.Contains(a.Error, "try again") {
		t.Errorf("answer %q", a.Error)
	}
}

// FuzzMessages: no message of a core is more than an error.
func FuzzMessages(f *testing.F) {
	f.Add([]byte("H12345678"))
	f.Add([]byte(`h{"Version":1,"Layout":"x"}`))
	f.Add([]byte(`r{"Listeners":["x"],"Restored":1}`))
	f.Add([]byte("D\x01\x00\x00\x00\x01\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) == 0 {
			return
		}
		k := testKeeper()
		c := &core{acks: make(chan struct{}, ackWindow+1), gone: make(chan struct{})}
		p := packet{kind: kind(b[0]), body: b[1:]}
		_ = k.take(c, &p)
		p.close()
		if k.store.count() != 0 {
			t.Fatal("it holds a descriptor that nobody sent")
		}
	})
}

func TestControl(t *testing.T) {
	path := filepath.Join(t.TempDir(), "control.sock")
	requests := make(chan *request)
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	c, err := listenControl(path, requests, log)
	if err != nil {
		t.Fatal(err)
	}
	if st, err := os.Stat(path); err != nil || st.Mode().Perm()&0o077 != 0 {
		t.Errorf("mode %v, %v", st.Mode(), err)
	}
	if _, err := listenControl(path, requests, log); err == nil || !strings.Contains(err.Error(), "another server") {
		t.Errorf("a second server: %v", err)
	}
	go func() { // ends with the second request
		for range 2 {
			r := <-requests
			if r.Op == OpReload {
				r.answer(Answer{Sessions: 3})
			} else {
				r.answer(Answer{Error: "no"})
			}
		}
	}()
	if a, err := Ask(path, OpReload); err != nil || a.Sessions != 3 {
		t.Errorf("%+v, %v", a, err)
	}
	if _, err := Ask(path, "else"); err == nil || err.Error() != "no" {
		t.Errorf("%v", err)
	}
	c.close()
	if _, err := Ask(path, OpReload); err == nil {
		t.Error("somebody answers")
	}
	// A socket that a killed server has left is replaced.
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: path}); err != nil {
		t.Fatal(err)
	}
	unix.Close(fd)
	if c, err = listenControl(path, requests, log); err != nil {
		t.Fatal(err)
	}
	c.close()
}
