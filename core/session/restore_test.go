package session

import (
	"context"
	"fmt"
	"hash/crc32"
	"io"
	"iter"
	"log/slog"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/roostmail/roost/core/imapwire"
)

// mover is a toy whose sessions can move: users and mailboxes are numbers anyway, and extras are strings.
type mover struct {
	*toy
	surveyed atomic.Int64
	refuse   atomic.Uint32    // mailbox that is not known any more
	survived func(s *Session) // called by Survives, if it is not nil
	gate     chan struct{}    // Event waits for it, if it is not nil
}

func (m *mover) Survey(sessions iter.Seq[Info]) {
	for range sessions {
		m.surveyed.Add(1)
	}
}

func (m *mover) Survives(s *Session) error {
	if m.survived != nil {
		m.survived(s)
	}
	if b := m.refuse.Load(); b != 0 && s.Mailbox() == b {
		return fmt.Errorf("there is no mailbox %d", b)
	}
	return nil
}

func (m *mover) Event(ctx context.Context, s *Session) {
	if m.gate != nil {
		<-m.gate
	}
	m.toy.Event(ctx, s)
}

func (m *mover) AppendExtra(b []byte, x any) ([]byte, bool) {
	s, ok := x.(string)
	return append(b, s...), ok
}

func (m *mover) ParseExtra(b []byte) (any, error) { return string(b), nil }

func (m *mover) Quick(s *Session, cmd []byte) bool {
	switch tag, word, arg := words(cmd); word {
	case "KEEP":
		s.SetExtra(arg)
		fmt.Fprintf(writer{s}, "%s ok\r\n", tag)
	case "KEPT":
		fmt.Fprintf(writer{s}, "%s %v user %d mailbox %d\r\n", tag, s.Extra(), s.State().User, s.Mailbox())
	default:
		return m.toy.Quick(s, cmd)
	}
	return true
}

// keeper keeps descriptors in this process.
type keeper struct {
	mu     sync.Mutex
	fds    map[Handle]int
	full   int // Hold takes nothing so many times
	waited int
}

func newKeeper(t testing.TB) *keeper {
	k := &keeper{fds: map[Handle]int{}}
	t.Cleanup(func() { k.Drop(k.handles()) })
	return k
}

func (k *keeper) Hold(held []Held) (int, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.full > 0 {
		k.full--
		return 0, nil
	}
	for _, h := range held {
		fd, err := unix.FcntlInt(uintptr(h.FD), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			return 0, err
		}
		if _, ok := k.fds[h.Session]; ok {
			return 0, fmt.Errorf("session %x is held twice", h.Session)
		}
		k.fds[h.Session] = fd
	}
	return len(held), nil
}

func (k *keeper) Wait() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.waited++
	return nil
}

func (k *keeper) Drop(ended []Handle) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, h := range ended {
		if fd, ok := k.fds[h]; ok {
			unix.Close(fd)
			delete(k.fds, h)
		}
	}
	return nil
}

func (k *keeper) handles() (list []Handle) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for h := range k.fds {
		list = append(list, h)
	}
	return list
}

// copies are what a next process gets.
func (k *keeper) copies(t *testing.T) (list []Held) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for h, fd := range k.fds {
		dup, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, Held{h, dup})
	}
	return list
}

// movable is an engine under test that is not closed as others are: its sessions move.
type movable struct {
	*server
	mover *mover
	keep  *keeper
	log   *logLines
}

// logLines is a log that can be searched.
type logLines struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *logLines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logLines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func startMovable(t testing.TB, cfg Config, k *keeper, clock func() time.Time, in *Inherited) *movable {
	t.Helper()
	m := &movable{mover: &mover{toy: newToy()}, keep: k, log: &logLines{}}
	if clock == nil {
		clock = time.Now
	}
	cfg.Keeper = k
	e, err := newEngine(cfg, m.mover, slog.New(slog.NewTextHandler(m.log, nil)), clock, in)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	m.server = &server{Engine: e, toy: m.mover.toy, addr: listen(t, e, Listener{Addr: "test"})}
	return m
}

// held waits until the keeper has every session.
func (m *movable) held(t *testing.T) {
	t.Helper()
	eventually(t, "the keeper has all descriptors", func() bool {
		return len(m.keep.handles()) == m.Stats().Sessions && m.Stats().Held == m.Stats().Sessions
	})
}

// left returns what m leaves to a next process. The tables are not m's any more.
func (m *movable) left(t *testing.T) *Inherited {
	in := &Inherited{Start: m.Start(), MaxSessions: m.MaxSessions(), Held: m.keep.copies(t)}
	if m.slab.table.FD() < 0 { // with the race detector
		in.records, in.saved, in.tls = m.slab, m.saved, m.tlsSlots
		return in
	}
	for i, table := range m.Tables() {
		fd, err := unix.FcntlInt(uintptr(table.FD), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		*[]*int{&in.Sessions, &in.Saved, &in.TLS}[i] = fd
	}
	return in
}

// move moves all sessions to a new engine.
func (m *movable) move(t *testing.T, cfg Config, prepare func(in *Inherited)) *movable {
	t.Helper()
	if _, err := m.Freeze(t.Context()); err != nil {
		t.Fatal(err)
	}
	in := m.left(t)
	m.abandon()
	if prepare != nil {
		prepare(in)
	}
	next := startMovable(t, cfg, m.keep, m.clock, in)
	if m.slab.table.FD() >= 0 {
		m.closeTables()
	}
	return next
}

func TestSessionsMove(t *testing.T) {
	goroutines := runtime.NumGoroutine()
	m := startMovable(t, Config{Loops: 2}, newKeeper(t), nil, nil)
	var cs [40]*client
	for i := range cs {
		cs[i] = m.dial(t)
	}
	user, box, lines, half, literal, kept, pipelined, body, zip := cs[0], cs[1], cs[2], cs[3], cs[4], cs[5], cs[6], cs[7], cs[8]
	user.send("a LOGIN\r\n")
	user.want("a ok")
	box.send("a BOX 7\r\n")
	box.want("a ok")
	lines.send("a LINES\r\n")
	lines.want("+ idling")
	half.send("a ECHO hal")
	literal.send("a ECHO {10}\r\n")
	literal.want("+ OK")
	literal.send("1234")
	kept.send("a KEEP something\r\n")
	kept.want("a ok")
	body.send("a SPOOL {5}\r\n")
	body.want("+ OK")
	body.send("12345 {3}\r\n")
	body.want("+ OK")
	body.send("a")
	zip.compress("ZIP")
	zip.send("a ECHO 1\r\nb EC")
	zip.want(`a "1"`)
	m.quiet(t)
	pipelined.send("a HOLD x\r\n")
	<-m.toy.started
	pipelined.send("b ECHO 1\r\nc RUN 2\r\nd ECH")
	go func() { close(m.toy.release) }() // ends by itself
	for round := range 3 {
		m = m.move(t, Config{Loops: 3 - round}, nil)
		if n := m.mover.surveyed.Load(); n != int64(len(cs)) {
			t.Errorf("%d sessions were surveyed", n)
		}
		if st := m.Stats(); st.Restored != uint64(len(cs)) || st.Sessions != len(cs) || st.Lost != [losses]uint64{} {
			t.Fatalf("%+v\n%s", st, m.log)
		}
		m.quiet(t) // events that meet a freeze would become one
	}
	pipelined.want(`a ran "x"`, `b "1"`, `c ran "2"`)
	pipelined.send("O 3\r\n")
	pipelined.want(`d "3"`)
	user.send("b KEPT\r\n")
	user.want("b <nil> user 1 mailbox 0")
	box.want("event 7", "event 7", "event 7")
	m.SignalMailbox(7)
	box.want("event 7")
	box.send("b KEPT\r\n")
	box.want("b <nil> user 0 mailbox 7")
	lines.send("x\r\nDONE\r\n")
	lines.want(`line "x\r\n"`, "done")
	half.send("f\r\n")
	half.want(`a "half"`)
	literal.send("567890 x\r\n")
	literal.want(`a "{10}\r\n1234567890 x"`)
	kept.send("b KEPT\r\n")
	kept.want("b something user 0 mailbox 0")
	body.send("bc\r\n")
	body.want(`spooled "a SPOOL {5}\r\n# {3}\r\n#\r\n"`, "5 5 cbf53a1c <nil>", "3 3 352441c2 <nil>")
	zip.send("HO 2\r\nc ZIP\r\n")
	zip.want(`b "2"`, "c already")
	if st := m.Stats(); st.Compressed != 1 || st.FlowBytes == 0 {
		t.Errorf("%+v", st)
	}
	for _, c := range cs[9:] {
		c.send("x ECHO 1\r\n")
		c.want(`x "1"`)
		c.send("x BYE\r\n")
		c.want("x bye")
		c.wantEnd()
	}
	eventually(t, "the keeper drops what has ended", func() bool { return len(m.keep.handles()) == 9 })
	m.Close()
	for _, c := range cs[:9] {
		c.wantEnd()
	}
	if n := len(m.keep.handles()); n != 0 {
		t.Errorf("the keeper has %d descriptors", n)
	}
	eventually(t, "all goroutines end", func() bool { return runtime.NumGoroutine() <= goroutines })
}

// TestMoveWithUnsentOutput: what the client had not taken comes after the move, nothing of it twice, and nothing is missing.
func TestMoveWithUnsentOutput(t *testing.T) {
	m := startMovable(t, Config{MaxOutput: 64 << 20}, newKeeper(t), nil, nil)
	c := m.dial(t)
	if err := c.Conn.(*net.TCPConn).SetReadBuffer(64 << 10); err != nil { // so that the sockets take much less than n
		t.Fatal(err)
	}
	const n = 12 << 20
	c.send(fmt.Sprintf("a LOOP %d\r\nb ECHO x\r\n", n))
	eventually(t, "output waits", func() bool { return m.Stats().ExtraBytes > 1<<20 })
	m = m.move(t, Config{MaxOutput: 64 << 20}, nil)
	if st := m.Stats(); st.Restored != 1 {
		t.Fatalf("%+v", st)
	}
	got, err := io.ReadAll(io.LimitReader(c.r, n))
	if err != nil || len(got) != n || strings.Trim(string(got), "x") != "" {
		t.Fatalf("%d bytes, %v", len(got), err)
	}
	c.want("a ok", `b "x"`)
}

// TestMoveEndsWhatCanNotMove: a command that does not end, and TLS sessions with crypto/tls's state, end; others do not.
func TestMoveEndsWhatCanNotMove(t *testing.T) {
	m := startMovable(t, Config{}, newKeeper(t), nil, nil)
	stuck, fine := m.dial(t), m.dial(t)
	stuck.send("a HOLD\r\n")
	<-m.toy.started
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	ended, err := m.Freeze(ctx)
	if ended != 1 || err != nil {
		t.Fatalf("%d ended, %v", ended, err)
	}
	in := m.left(t)
	m.abandon()
	next := startMovable(t, Config{}, m.keep, nil, in)
	if m.slab.table.FD() >= 0 {
		m.closeTables()
	}
	stuck.want(`a ran ""`) // the toy answers whatever has ended its context
	stuck.wantEnd()
	fine.send("a ECHO 1\r\n")
	fine.want(`a "1"`)
	if st := next.Stats(); st.Restored != 1 || st.Lost != [losses]uint64{} {
		t.Errorf("%+v", st)
	}
}

// TestDeadlinesMove: a deadline is kept in seconds of a clock that goes on.
func TestDeadlinesMove(t *testing.T) {
	clock := newClock()
	m := startMovable(t, Config{}, newKeeper(t), clock.now, nil)
	clock.advance(m.server, 100*time.Second)
	a, b := m.dial(t), m.dial(t)
	a.send("a LATE 10\r\n")
	a.want("a ok")
	b.send("a LATE 1000\r\n")
	b.want("a ok")
	m = m.move(t, Config{}, nil)
	b.send("a ECHO 1\r\n")
	b.want(`a "1"`)
	clock.advance(m.server, 20*time.Second)
	a.want("timeout")
	a.wantEnd()
	b.send("a ECHO 2\r\n")
	b.want(`a "2"`)
	clock.advance(m.server, 1000*time.Second)
	b.want("timeout")
	b.wantEnd()
}

// snapshot copies the table as it is now: what a process that is killed at this moment leaves.
func (m *movable) snapshot(t *testing.T) *records {
	t.Helper()
	return snapshot(t, m.Engine)
}

func snapshot(t *testing.T, m *Engine) *records {
	t.Helper()
	s, err := newRecords(m.MaxSessions(), 0)
	if err != nil {
		t.Fatal(err)
	}
	for want := uint32(1); want <= m.slab.slots(); want++ {
		slot, r, err := s.take()
		if err != nil || slot != want {
			t.Fatalf("slot %d, %v", slot, err)
		}
		from, to := m.slab.at(slot), r
		size := unsafe.Sizeof(word{})
		to.word.v.Store(from.word.v.Load())
		if from.word.inherit().busy {
			continue // as torn as can be
		}
		copy(unsafe.Slice((*byte)(unsafe.Pointer(to)), recordSize)[size:], unsafe.Slice((*byte)(unsafe.Pointer(from)), recordSize)[size:])
	}
	return s
}

// TestBadRecordsEndAlone damages the record of one session at a time, or its descriptor.
func TestBadRecordsEndAlone(t *testing.T) {
	damages := []struct {
		want   Loss
		damage func(t *testing.T, r *record, h *Held)
	}{
		{LossBusy, func(t *testing.T, r *record, h *Held) { r.word.v.Or(wordBusy) }},
		{LossGeneration, func(t *testing.T, r *record, h *Held) { h.Session += 1 << 32 }},
		{LossGeneration, func(t *testing.T, r *record, h *Held) { h.Session |= 1 << 31 }},
		{LossChecksum, func(t *testing.T, r *record, h *Held) { r.state.View++ }},
		{LossChecksum, func(t *testing.T, r *record, h *Held) { r.port++ }},
		{LossChecksum, func(t *testing.T, r *record, h *Held) { r.saved = 12345 }},
		{LossRecord, func(t *testing.T, r *record, h *Held) { r.mode = 77; r.reseal() }},
		{LossRecord, func(t *testing.T, r *record, h *Held) { r.flags |= flagTLS | flagStartTLS; r.reseal() }},
		{LossRecord, func(t *testing.T, r *record, h *Held) { r.flags |= 1 << 15; r.reseal() }},
		{LossExtra, func(t *testing.T, r *record, h *Held) { r.flags |= flagExtra; r.saved = 12345; r.reseal() }},
		{LossExtra, func(t *testing.T, r *record, h *Held) { r.flags |= flagExtra; r.reseal() }},
		{LossExtra, func(t *testing.T, r *record, h *Held) { r.todo |= todoRun; r.reseal() }},
		{LossExtra, func(t *testing.T, r *record, h *Held) { r.flags |= flagDeflate; r.reseal() }},
		{LossTLS, func(t *testing.T, r *record, h *Held) { r.flags |= flagTLS; r.reseal() }},
		{LossProtocol, func(t *testing.T, r *record, h *Held) { r.mailbox = 666; r.reseal() }},
		{LossDescriptor, func(t *testing.T, r *record, h *Held) { r.port++; r.reseal() }},
		{LossDescriptor, func(t *testing.T, r *record, h *Held) {
			null, err := unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0)
			if err != nil {
				t.Fatal(err)
			}
			if err := unix.Dup3(null, h.FD, unix.O_CLOEXEC); err != nil {
				t.Fatal(err)
			}
			unix.Close(null)
		}},
	}
	for i, d := range damages {
		t.Run(fmt.Sprintf("%d %v", i, d.want), func(t *testing.T) {
			m := startMovable(t, Config{}, newKeeper(t), nil, nil)
			first, victim, last := m.dial(t), m.dial(t), m.dial(t)
			m.held(t)
			if _, err := m.Freeze(t.Context()); err != nil {
				t.Fatal(err)
			}
			in := m.left(t)
			records := m.snapshot(t)
			in.records, in.saved, in.tls = records, m.saved, m.tlsSlots
			port := uint16(victim.LocalAddr().(*net.TCPAddr).Port)
			for i := range in.Held {
				if h := &in.Held[i]; m.slab.at(h.Session.slot()).port == port {
					d.damage(t, records.at(h.Session.slot()), h)
				}
			}
			m.abandon()
			p := &mover{toy: newToy()}
			p.refuse.Store(666)
			log := &logLines{}
			e, err := newEngine(Config{Keeper: m.keep}, p, slog.New(slog.NewTextHandler(log, nil)), time.Now, in)
			if err != nil {
				t.Fatal(err)
			}
			defer e.Close()
			if d.want != LossDescriptor || i < len(damages)-1 { // that descriptor is not the session's
				victim.wantEnd()
			}
			for _, c := range []*client{first, last} {
				c.send("a ECHO 1\r\n")
				c.want(`a "1"`)
			}
			st := e.Stats()
			if st.Restored != 2 || st.Sessions != 2 || st.Lost[d.want] == 0 {
				t.Errorf("%+v", st)
			}
			for l, n := range st.Lost {
				if n > 0 && Loss(l) != d.want && Loss(l) != LossDescriptor {
					t.Errorf("lost %d by %v", n, Loss(l))
				}
			}
			if !strings.Contains(log.String(), "reason="+d.want.String()) {
				t.Errorf("log:\n%s", log)
			}
			if e.slab.table.Used() != 2 {
				t.Errorf("%d slots are in use", e.slab.table.Used())
			}
		})
	}
}

// reseal makes the checksum fit.
func (r *record) reseal() {
	r.word.v.Store(r.word.v.Load()&^sumMask | uint64(r.sum())<<sumShift)
}

// TestKilledProcessLosesBusySessionsOnly: the table as it is while some sessions work, others sleep.
func TestKilledProcessLosesBusySessionsOnly(t *testing.T) {
	m := startMovable(t, Config{Workers: 20}, newKeeper(t), nil, nil)
	var asleep, busy []*client
	for i := range 30 {
		c := m.dial(t)
		if i%3 == 0 {
			busy = append(busy, c)
			continue
		}
		if i%3 == 1 { // with a stream that has more than savedAsleep
			c.compress("ZIP")
			c.send(fmt.Sprintf("z SUM {4000+}\r\n%s{4000+}\r\n%s\r\n", message(4000), message(4000)))
			if _, err := c.r.ReadString('\n'); err != nil {
				t.Fatal(err)
			}
		}
		c.send("a KEEP x\r\nb ECHO hal")
		c.want("a ok")
		asleep = append(asleep, c)
	}
	m.held(t)
	for _, c := range busy {
		c.send("a HOLD\r\n")
		<-m.toy.started
	}
	eventually(t, "the rest sleeps", func() bool {
		n := 0
		m.Each(func(i Info) bool {
			if i.Busy {
				n++
			}
			return true
		})
		return n == len(busy)
	})
	in := m.left(t)
	in.records, in.saved, in.tls = m.snapshot(t), m.saved, m.tlsSlots
	for _, l := range m.loops { // a dead process reads nothing
		l.end()
	}
	next := startMovable(t, Config{}, m.keep, nil, in)
	for _, c := range busy {
		c.wantEnd()
	}
	for _, c := range asleep {
		c.send("f\r\nc KEPT\r\n")
		c.want(`b "half"`, "c x user 0 mailbox 0")
	}
	if st := next.Stats(); st.Restored != 20 || st.Lost[LossBusy] != 10 {
		t.Errorf("%+v", st)
	}
	m.die()
}

// TestKilledProcessKeepsLargeExtras: half of a large literal, and output that the client does not take, are written down
// a moment after the session has fallen asleep.
func TestKilledProcessKeepsLargeExtras(t *testing.T) {
	m := startMovable(t, Config{MaxLiteralUnauth: 1 << 20, MaxOutput: 64 << 20}, newKeeper(t), nil, nil)
	const n = 12 << 20
	body := message(300_000)
	literal := m.dial(t)
	literal.send("a SUM {300000}\r\n")
	literal.want("+ OK")
	for i := range 10 {
		literal.send(body[i*20_000 : (i+1)*20_000])
	}
	output := m.dial(t)
	if err := output.Conn.(*net.TCPConn).SetReadBuffer(64 << 10); err != nil { // so that the sockets take much less than n
		t.Fatal(err)
	}
	output.send(fmt.Sprintf("a LOOP %d\r\n", n))
	eventually(t, "output waits", func() bool { return m.Stats().ExtraBytes > 1<<20 })
	m.held(t)
	saved := func() (n int) {
		for slot := range m.slab.slots() {
			r, gen := m.slab.hold(slot + 1)
			if r != nil {
				if out, _ := r.word.signal(gen, 0); out == signalOwned {
					if r.saved != 0 {
						n++
					}
					if b := r.release(); b != 0 {
						m.submit(task{slot: slot + 1, gen: gen, b: b})
					}
				}
			}
			m.slab.letGo()
		}
		return n
	}
	eventually(t, "both are written down", func() bool { return saved() == 2 })
	in := m.left(t)
	in.records, in.saved, in.tls = m.snapshot(t), m.saved, m.tlsSlots
	for _, l := range m.loops { // a dead process reads nothing
		l.end()
	}
	next := startMovable(t, Config{MaxLiteralUnauth: 1 << 20, MaxOutput: 64 << 20}, m.keep, nil, in)
	if st := next.Stats(); st.Restored != 2 || st.Lost != [losses]uint64{} {
		t.Errorf("%+v\n%s", st, next.log)
	}
	literal.send(body[200_000:] + "\r\n")
	literal.want(fmt.Sprintf("a %d %08x", len("a SUM {300000}\r\n")+300_000+2, crc32.ChecksumIEEE([]byte("a SUM {300000}\r\n"+body+"\r\n"))))
	if got, err := io.ReadAll(io.LimitReader(output.r, n)); err != nil || len(got) != n || strings.Trim(string(got), "x") != "" {
		t.Errorf("%d bytes of the output: %v", len(got), err)
	}
	m.die()
}

// die ends what is left, after its loops, of an engine that plays a dead process: its commands end, and nothing else happens.
func (m *movable) die() {
	m.closed = true
	m.cancel(ErrStopping)
	m.pool.close()
	m.holder.stop()
	for slot := range m.slab.slots() {
		if r, _ := m.slab.hold(slot + 1); r != nil {
			unix.Close(int(r.fd))
		}
		m.slab.letGo()
	}
}

// TestKilledProcessLosesNobodyWhoWaits: sessions to which something has happened, and which wait for a worker, have done nothing yet.
func TestKilledProcessLosesNobodyWhoWaits(t *testing.T) {
	m := startMovable(t, Config{Workers: 1}, newKeeper(t), nil, nil)
	busy := m.dial(t)
	var waiting []*client
	for range 20 {
		c := m.dial(t)
		c.send("a BOX 7\r\n")
		c.want("a ok")
		waiting = append(waiting, c)
	}
	m.held(t)
	busy.send("a HOLD\r\n")
	<-m.toy.started
	m.SignalMailbox(7) // the only worker is busy
	in := m.left(t)
	in.records, in.saved, in.tls = m.snapshot(t), m.saved, m.tlsSlots
	for _, l := range m.loops { // a dead process reads nothing
		l.end()
	}
	next := startMovable(t, Config{}, m.keep, nil, in)
	busy.wantEnd()
	for _, c := range waiting {
		c.want("event 7")
		c.send("b ECHO 1\r\n")
		c.want(`b "1"`)
	}
	if st := next.Stats(); st.Restored != 20 || st.Lost[LossBusy] != 1 {
		t.Errorf("%+v", st)
	}
	for _, c := range waiting { // what the dead process would say now, nobody hears
		c.Close()
	}
	m.die()
}

// TestNobodyWaitsForTheRestored: many sessions of many users, that all want to know what has happened meanwhile, do not come before a command.
func TestNobodyWaitsForTheRestored(t *testing.T) {
	const n = 20
	m := startMovable(t, Config{}, newKeeper(t), nil, nil)
	var cs [n]*client
	for i := range cs {
		cs[i] = m.dial(t)
		cs[i].send(fmt.Sprintf("a LOGIN %d\r\nb BOX 7\r\n", i+1))
		cs[i].want("a ok", "b ok")
	}
	m.quiet(t)
	gate := make(chan struct{})
	if _, err := m.Freeze(t.Context()); err != nil {
		t.Fatal(err)
	}
	in := m.left(t)
	m.abandon()
	next := &movable{mover: &mover{toy: newToy(), gate: gate}, keep: m.keep, log: &logLines{}}
	e, err := newEngine(Config{Workers: 1, Keeper: m.keep}, next.mover, slog.New(slog.NewTextHandler(next.log, nil)), time.Now, in)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	t.Cleanup(func() { close(gate) }) // or Close waits for events that wait
	if m.slab.table.FD() >= 0 {
		m.closeTables()
	}
	next.server = &server{Engine: e, toy: next.mover.toy, addr: listen(t, e, Listener{Addr: "test"})}
	eventually(t, "all restored wait for the first", func() bool { st := next.Stats(); return st.Running == 1 && st.Queued == n-1 })
	c := next.dial(t)
	c.send("a RUN x\r\n")
	eventually(t, "the command waits, too", func() bool { return next.Stats().Queued == n })
	gate <- struct{}{}
	c.want(`a ran "x"`) // none of the others can have gone on
	for range n - 1 {
		gate <- struct{}{}
	}
	for _, c := range cs {
		c.want("event 7")
	}
}

// TestKilledWhileItRestores: a process that dies while it takes sessions over, in the middle of one, loses no other: the next one
// gets the rest.
func TestKilledWhileItRestores(t *testing.T) {
	const n = 30
	for _, at := range []int64{1, n / 2, n} {
		t.Run(fmt.Sprint(at), func(t *testing.T) {
			m := startMovable(t, Config{}, newKeeper(t), nil, nil)
			var cs [n]*client
			for i := range cs {
				c := m.dial(t)
				switch i % 3 {
				case 0:
					c.send("a BOX 7\r\n")
					c.want("a ok")
				case 1:
					c.send("a KEEP x\r\na ECHO hal")
					c.want("a ok")
				}
				cs[i] = c
			}
			m.held(t)
			if _, err := m.Freeze(t.Context()); err != nil {
				t.Fatal(err)
			}
			in := m.left(t)
			in.records, in.saved, in.tls = m.snapshot(t), m.saved, m.tlsSlots
			m.abandon()

			var dead *Engine
			var lost netip.AddrPort
			dying := &mover{toy: newToy()}
			seen := int64(0)
			dying.survived = func(s *Session) {
				if seen++; seen == at {
					dead, lost = s.e, s.Remote()
					runtime.Goexit()
				}
			}
			died := make(chan struct{})
			go func() { // ends in the middle
				defer close(died)
				_, _ = newEngine(Config{Keeper: m.keep}, dying, slog.New(slog.DiscardHandler), time.Now, in)
			}()
			<-died
			next := &Inherited{Start: m.Start(), MaxSessions: m.MaxSessions(), Held: m.keep.copies(t), records: in.records, saved: in.saved, tls: in.tls}
			last := startMovable(t, Config{}, m.keep, nil, next)
			if st := last.Stats(); st.Restored != n-1 || st.Lost[LossBusy] != 1 {
				t.Errorf("%d restored, lost %v\n%s", st.Restored, st.Lost, last.log)
			}
			for i, c := range cs {
				switch {
				case c.LocalAddr().String() == lost.String():
					c.wantEnd()
				case i%3 == 0:
					c.want("event 7")
				case i%3 == 1:
					c.send("f\r\nc KEPT\r\n")
					c.want(`a "half"`, "c x user 0 mailbox 0")
				}
			}
			dead.holder.stop()
			for _, l := range dead.loops {
				l.poller.Close()
			}
			for _, h := range in.Held {
				unix.Close(h.FD)
			}
		})
	}
}

// TestKeeperThatIsFull: descriptors wait until the keeper can take them, and sessions that end meanwhile are not held.
func TestKeeperThatIsFull(t *testing.T) {
	k := newKeeper(t)
	k.full = 5
	m := startMovable(t, Config{}, k, nil, nil)
	for range 10 {
		m.dial(t)
	}
	gone := m.dial(t)
	gone.send("a BYE\r\n")
	gone.want("a bye")
	gone.wantEnd()
	m.held(t)
	if k.mu.Lock(); k.waited != 5 {
		t.Errorf("waited %d times", k.waited)
	}
	k.mu.Unlock()
}

// FuzzSavedExtra: whatever is read can be saved again, and is the same then.
func FuzzSavedExtra(f *testing.F) {
	p := &mover{toy: newToy()}
	var inLiteral imapwire.Framer
	inLiteral.Next([]byte("a {3}\r\n"), imapwire.FrameLimits{Line: 100, Command: 100})
	inLiteral.Accept()
	for _, x := range []*extra{{}, {in: []byte("a ECHO x"), user: "u"}, {out: []byte("xyz"), sent: 1, ready: 0},
		{in: []byte("a {3}\r\n"), spool: &spool{bodies: []Body{{At: 7, Kept: 0, Size: 0}}}}, {flow: newFlow([]byte("raw"))},
		{channel: &Channel{Exporter: []byte("xx"), Client: "jane"}}, {channel: &Channel{EndPoint: []byte("yyy")}},
		{in: []byte("a {3}\r\nx"), framer: inLiteral, spool: &spool{bodies: []Body{{At: 7, Kept: 3, Size: 3}}}}} {
		b, _ := x.append(nil, p)
		f.Add(b[:len(b)-4])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var x, y extra
		if x.parse(seal(b), p) != nil {
			return
		}
		saved, _ := x.append(nil, p)
		if err := y.parse(saved, p); err != nil {
			t.Fatalf("%+v became %v", x, err)
		}
		if again, ok := y.append(nil, p); !ok || string(again) != string(saved) {
			t.Fatalf("%+v became %+v", x, y)
		}
	})
}
