package host

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/roostmail/roost/core/backend"
)

// wire is what other servers tell their changes on. Each subscriber gets them in a queue of its own, which it reads when it likes.
type wire struct {
	mu   sync.Mutex
	subs map[*subscription]bool
}

type subscription struct {
	queue []string // "": the answer to a sign of life
	more  chan struct{}
}

func newWire() *wire { return &wire{subs: map[*subscription]bool{}} }

// listeners waits until so many have subscribed, ever.
func (w *wire) listeners(t *testing.T, n int) {
	t.Helper()
	waitUntil(t, "subscription", func() bool { w.mu.Lock(); defer w.mu.Unlock(); return len(w.subs) == n })
}

func (w *wire) subscribe() *subscription {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := &subscription{more: make(chan struct{}, 1)}
	w.subs[s] = true
	return s
}

// put tells of changes of mailboxes; those subscribed get them.
func (w *wire) put(mailboxes ...string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for s := range w.subs {
		s.put(mailboxes...)
	}
}

func (s *subscription) put(mailboxes ...string) {
	s.queue = append(s.queue, mailboxes...)
	select {
	case s.more <- struct{}{}:
	default:
	}
}

func (w *wire) take(s *subscription) (mailbox string, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(s.queue) == 0 {
		return "", false
	}
	mailbox, s.queue = s.queue[0], s.queue[1:]
	return mailbox, true
}

// ear is a notify plugin that hears what is on a wire.
type ear struct {
	plain bool // without CapListenGapless
	wire  *wire
	begin chan struct{} // closed: it subscribes
	read  chan struct{} // closed: it reads its queue
	fail  chan error    // it can not go on
	drain time.Duration // drain_timeout; 0: an hour
}

func newEar(w *wire) *ear {
	return &ear{wire: w, begin: make(chan struct{}), read: make(chan struct{}), fail: make(chan error, 1)}
}

// ready returns e, with nothing to wait for.
func (e *ear) ready() *ear {
	close(e.begin)
	close(e.read)
	return e
}

func (e *ear) Info() backend.Info {
	i := backend.Info{Kind: backend.KindNotify, Name: "ear", Capabilities: []string{backend.CapListen}}
	if !e.plain {
		i.Capabilities = append(i.Capabilities, backend.CapListenGapless)
	}
	return i
}
func (*ear) Configure(context.Context, backend.Config) error { return nil }
func (*ear) Health(context.Context) error                    { return nil }

// Close is what ends a process that is not done within drain_timeout.
func (e *ear) Close() error {
	select {
	case e.fail <- errors.New("closed"):
	default:
	}
	return nil
}

func (*ear) Publish(context.Context, *backend.ChangeBatch) error { return nil }

func (e *ear) Listen(ctx context.Context, r backend.ListenRequest, hear func(*backend.Heard) error) error {
	select {
	case <-e.begin:
	case err := <-e.fail:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
	s := e.wire.subscribe()
	if err := hear(&backend.Heard{Begun: !e.plain}); err != nil {
		return err
	}
	until, read := r.Until, e.read
	for {
		select {
		case <-read:
			read = nil
		case err := <-e.fail:
			return err
		case <-ctx.Done():
			return ctx.Err()
		case <-until:
			until = nil
			e.wire.mu.Lock()
			s.put("")
			e.wire.mu.Unlock()
		case <-s.more:
		}
		for read == nil {
			m, ok := e.wire.take(s)
			if !ok {
				break
			}
			if m == "" {
				return nil
			}
			if err := hear(&backend.Heard{Changes: []backend.MailboxChange{{User: "jane", Mailbox: m}}}); err != nil {
				return err
			}
		}
	}
}

// ears is a host that listens to one ear after another.
type ears struct {
	t     *testing.T
	p     *Plugin
	heard chan string // mailboxes, "LOST", "BEGUN"
	seen  map[string]bool
	end   context.CancelFunc
}

func listenTo(t *testing.T, first *ear) *ears {
	h, _ := newHost(t)
	e := &ears{t: t, heard: make(chan string, 100_000), seen: map[string]bool{}}
	e.p = mustStart(t, h, e.config(first))
	ctx, cancel := context.WithCancel(t.Context())
	e.end = cancel
	go func() { // ends with end
		_ = e.p.Notify().(backend.Listener).Listen(ctx, backend.ListenRequest{}, func(h *backend.Heard) error {
			for _, c := range h.Changes {
				e.heard <- c.Mailbox
			}
			if h.Lost {
				e.heard <- "LOST"
			}
			if h.Begun {
				e.heard <- "BEGUN"
			}
			return nil
		})
	}()
	t.Cleanup(cancel)
	return e
}

func (e *ears) config(to *ear) Config {
	return Config{Name: "ear", Kind: backend.KindNotify, DrainTimeout: cmp.Or(to.drain, time.Hour), Inproc: func() backend.Plugin { return to }}
}

func (e *ears) reload(to *ear) {
	e.t.Helper()
	if err := e.p.Reload(e.t.Context(), e.config(to)); err != nil {
		e.t.Fatal(err)
	}
}

// want waits for what is heard next, but for changes that were heard before: to be told twice is harmless.
func (e *ears) want(want ...string) {
	e.t.Helper()
	for _, w := range want {
		got := w
		for again := true; again; again = e.seen[got] {
			select {
			case got = <-e.heard:
			case <-time.After(30 * time.Second):
				e.t.Fatalf("nothing is heard, want %q", w)
			}
		}
		if got != w {
			e.t.Errorf("heard %q, want %q", got, w)
		}
		e.seen[got] = got != "LOST" && got != "BEGUN"
	}
}

// legs waits until so many processes are listened to.
func (e *ears) legs(n int) {
	e.t.Helper()
	waitUntil(e.t, fmt.Sprint(n, " processes that are listened to"), func() bool { return e.p.Stats().InFlight == int64(n) && e.retiring() == n-1 })
}

// alone waits until one leg is left, and checks that nothing more was heard.
func (e *ears) alone() {
	e.t.Helper()
	e.legs(1)
	for {
		select {
		case got := <-e.heard:
			if !e.seen[got] {
				e.t.Errorf("heard %q, want nothing", got)
			}
		default:
			return
		}
	}
}

func (e *ears) retiring() int {
	e.p.mu.Lock()
	defer e.p.mu.Unlock()
	return len(e.p.retiring)
}

// A change that happens while one process takes the place of another is heard, and nothing is taken for lost.
func TestReloadMissesNothing(t *testing.T) {
	w := newWire()
	old := newEar(w)
	close(old.begin)
	e := listenTo(t, old)
	e.want("BEGUN")
	next := newEar(w)
	e.reload(next)
	w.put("still on its way to the old process")
	close(next.begin)
	close(next.read)
	w.listeners(t, 2)
	w.put("both")
	e.want("both") // from the new one
	close(old.read)
	e.want("still on its way to the old process")
	e.alone()
	w.put("later")
	e.want("later")
	e.alone()
}

// Until the new process has begun, the old one is heard.
func TestTheOldProcessIsHeardUntilTheNewOneHasBegun(t *testing.T) {
	w := newWire()
	e := listenTo(t, newEar(w).ready())
	e.want("BEGUN")
	for _, m := range []string{"a", "b"} { // one that has not begun is replaced, too
		e.reload(newEar(w))
		w.put(m)
		e.want(m)
	}
	e.reload(newEar(w).ready())
	e.alone()
	w.put("c")
	e.want("c")
	e.alone()
}

// A swap that was not clean is a gap, which is told when it has ended.
func TestGapsOfAReload(t *testing.T) {
	t.Run("the old process fails before the new one has begun", func(t *testing.T) {
		w := newWire()
		old, next := newEar(w).ready(), newEar(w)
		e := listenTo(t, old)
		e.want("BEGUN")
		e.reload(next)
		e.legs(2)
		old.fail <- errors.New("no more")
		e.alone()
		close(next.begin)
		close(next.read)
		e.want("BEGUN")
		e.alone()
	})
	t.Run("the old process does not tell the rest", func(t *testing.T) {
		w := newWire()
		old := newEar(w)
		close(old.begin)
		e := listenTo(t, old)
		e.want("BEGUN")
		e.reload(newEar(w).ready())
		w.listeners(t, 2)
		w.put("heard by both, and told by one")
		e.want("heard by both, and told by one")
		old.fail <- errors.New("no more")
		e.want("LOST")
		e.alone()
	})
	t.Run("the old process does not end within drain_timeout", func(t *testing.T) {
		w := newWire()
		old, next := newEar(w), newEar(w).ready()
		close(old.begin) // it never reads
		next.drain = time.Millisecond
		e := listenTo(t, old)
		e.want("BEGUN")
		e.reload(next)
		if got := <-e.heard; got != "LOST" && got != "BEGUN" { // as the new one was faster or slower than drain_timeout
			t.Errorf("heard %q, want a gap", got)
		}
		e.alone()
	})
}

// Every change is heard, whenever it happens.
func TestReloadAgainAndAgain(t *testing.T) {
	w := newWire()
	e := listenTo(t, newEar(w).ready())
	e.want("BEGUN")
	const changes = 20_000
	var told sync.WaitGroup
	told.Go(func() {
		for i := range changes {
			w.put(fmt.Sprint(i))
			if rand.IntN(100) == 0 {
				time.Sleep(100 * time.Microsecond)
			}
		}
	})
	for range 20 {
		next := newEar(w)
		close(next.read)
		e.reload(next)
		close(next.begin)
	}
	told.Wait()
	w.put("end")
	e.legs(1)
	heard := map[string]bool{}
	for !heard["end"] {
		heard[<-e.heard] = true
	}
	for len(e.heard) > 0 {
		heard[<-e.heard] = true
	}
	var missing []string
	for i := range changes {
		if !heard[fmt.Sprint(i)] {
			missing = append(missing, fmt.Sprint(i))
		}
	}
	if len(missing) > 0 || heard["LOST"] || heard["BEGUN"] {
		t.Errorf("not heard: %d, %s; lost %v, begun %v", len(missing), strings.Join(missing[:min(len(missing), 10)], " "), heard["LOST"], heard["BEGUN"])
	}
}

// With a process that does not say when it begins everything is as it was before there was the capability.
func TestReloadFromAndToPlainListeners(t *testing.T) {
	w := newWire()
	plain := func() *ear { x := newEar(w).ready(); x.plain = true; return x }
	e := listenTo(t, plain())
	w.listeners(t, 1)
	for i, next := range []*ear{plain(), newEar(w).ready(), plain()} {
		e.reload(next)
		e.want([]string{"LOST", "BEGUN", "LOST"}[i])
		w.listeners(t, i+2)
		w.put(fmt.Sprint(i))
		e.want(fmt.Sprint(i))
	}
	e.alone()
}
