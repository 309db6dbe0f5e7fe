package main

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/roostmail/roost/cmd/internal/rig"
)

// op is one operation. Several connections do it at once.
type op struct {
	name string
	unit string
	user string // "" = benchUser
	// selects is the mailbox that each connection has selected before the clock starts, "" = none.
	selects string
	// conns are the numbers of connections, nil = those that the flags say.
	conns []int
	// anonymous: the connections are made by step itself.
	anonymous bool
	// latency: what counts is how long one unit takes, in ms.
	latency bool
	// constant: how long it takes must not depend on how many messages the mailbox has.
	constant bool
	// start prepares one connection, and returns what it does again and again. nil: step.
	start func(w *worker) (step, error)
	step  step
}

// step is one repetition of an operation, for whoever does it. It returns how much it did, in units.
type step func(w *worker) (float64, error)

// worker is one connection of an operation in one round.
type worker struct {
	*rig.Client // nil if the operation is anonymous
	server      *server
	spec        storeSpec
	n           int           // repetitions so far
	closing     func()        // nil, or what is to be done at the end
	wall        time.Duration // what was off the clock
	cpu         float64
}

// off does something that is not to be measured. Only an operation with one connection does.
func (w *worker) off(f func() error) error {
	start := time.Now()
	cpu := rig.CPUSeconds(w.server.pid())
	err := f()
	w.cpu += rig.CPUSeconds(w.server.pid()) - cpu // also if f has restarted the server, whose clock began at 0
	w.wall += time.Since(start)
	return err
}

// patience bounds each wait in an operation: Dovecot takes more than a minute to sort a million messages for the first time.
const patience = 15 * time.Minute

// connect makes the worker's connection.
func (w *worker) connect(o op) (err error) {
	user := o.user
	if user == "" {
		user = benchUser
	}
	if w.Client, err = rig.Login(w.server.addr, user); err != nil {
		return err
	}
	if w.Patience = patience; o.selects == "" {
		return nil
	}
	_, err = w.Drain("SELECT %s", o.selects)
	return err
}

// result is one line of the table: an operation at a number of connections.
type result struct {
	Operation   string             `json:"operation"`
	Unit        string             `json:"unit"`
	Connections int                `json:"connections"`
	Servers     map[string]summary `json:"servers"`
	// Ratio is roost's median ÷ Dovecot's, of a latency the inverse: above 1, roost is faster.
	Ratio float64 `json:"ratio,omitempty"`
	// Boundary is the same of roost ÷ roost with its plugins in core.
	Boundary float64 `json:"ratio_to_inproc,omitempty"`
}

// chosen reports whether --only wants the operation.
func (f opsFlags) chosen(name string) bool {
	for _, s := range f.only {
		if strings.Contains(name, s) {
			return true
		}
	}
	return len(f.only) == 0
}

// measure runs the operations in rounds, the servers taking turns in going first.
func measure(f opsFlags, ops []op, spec storeSpec, servers []*server) ([]result, error) {
	var results []result
	for _, o := range ops {
		if !f.chosen(o.name) {
			continue
		}
		conns := o.conns
		if conns == nil {
			conns = f.conns
		}
		for _, n := range conns {
			r, err := measureOne(f, o, spec, servers, n)
			if err != nil {
				return nil, err
			}
			fmt.Fprintf(os.Stderr, "%-50s %2d conns: ratio %.2f", o.name, n, r.Ratio)
			if r.Boundary > 0 {
				fmt.Fprintf(os.Stderr, ", to inproc %.2f", r.Boundary)
			}
			fmt.Fprintln(os.Stderr)
			results = append(results, r)
		}
	}
	return results, nil
}

func measureOne(f opsFlags, o op, spec storeSpec, servers []*server, conns int) (result, error) {
	values, cpu, peak := map[string]series{}, map[string]series{}, map[string]uint64{}
	for round := range f.rounds {
		for i := range servers {
			s := servers[(i+round)%len(servers)]
			// Looking at the memory takes time of its own: once.
			var watch *memoryWatch
			if round == 0 {
				watch = watchMemory(s)
			}
			v, c, err := once(o, s, spec, conns, time.Duration(f.seconds*float64(time.Second)))
			if watch != nil {
				peak[s.name] = watch.end()
			}
			if err != nil {
				return result{}, fmt.Errorf("%s on %s with %d connections: %w", o.name, s.name, conns, err)
			}
			if o.latency {
				v = 1000 / v
			}
			values[s.name], cpu[s.name] = append(values[s.name], v), append(cpu[s.name], c)
		}
	}
	r := result{Operation: o.name, Unit: o.unit, Connections: conns, Servers: map[string]summary{}}
	for _, s := range servers {
		sum := summarize(values[s.name], cpu[s.name])
		sum.Peak = peak[s.name]
		r.Servers[s.name] = sum
	}
	r.Ratio, r.Boundary = r.over(nameDovecot, o.latency), r.over(nameInproc, o.latency)
	return r, nil
}

// over returns how much faster roost is than the other, 0 = one of them was not measured.
func (r result) over(other string, latency bool) float64 {
	a, b := r.Servers[nameRoost].Median, r.Servers[other].Median
	if latency {
		a, b = b, a
	}
	if a == 0 || b == 0 {
		return 0
	}
	return a / b
}

// once runs one operation with conns connections for d and returns units per second and the server's CPU seconds for a unit.
func once(o op, s *server, spec storeSpec, conns int, d time.Duration) (perSecond, cpu float64, err error) {
	workers := make([]*worker, conns)
	steps := make([]step, conns)
	defer func() {
		for _, w := range workers {
			if w == nil {
				continue
			}
			if w.closing != nil {
				w.closing()
			}
			if w.Client != nil {
				w.Close()
			}
		}
	}()
	for i := range workers {
		w := &worker{server: s, spec: spec}
		workers[i] = w
		if !o.anonymous {
			if err := w.connect(o); err != nil {
				return 0, 0, err
			}
		}
		steps[i] = o.step
		if o.start != nil {
			if steps[i], err = o.start(w); err != nil {
				return 0, 0, err
			}
		}
	}
	done, errs := make([]float64, conns), make([]error, conns)
	cpu0, start := rig.CPUSeconds(s.pid()), time.Now()
	var wg sync.WaitGroup
	for i, w := range workers {
		wg.Go(func() {
			done[i], errs[i] = w.repeat(steps[i], start, d)
		})
	}
	wg.Wait()
	took := time.Since(start)
	cpu = rig.CPUSeconds(s.pid()) - cpu0
	var sum float64
	for i, w := range workers {
		sum += done[i]
		took -= w.wall
		cpu -= w.cpu
	}
	if err := errors.Join(errs...); err != nil {
		return 0, 0, err
	}
	return sum / took.Seconds(), cpu / sum, nil
}

// repeat does a step at least once, and until it took d, or four times as long with what is off the clock. It adds up the units.
func (w *worker) repeat(f step, start time.Time, d time.Duration) (float64, error) {
	var sum float64
	for {
		n, err := f(w)
		if err != nil {
			return sum, err
		}
		sum += n
		w.n++
		if took := time.Since(start); took-w.wall >= d || took >= 4*d {
			return sum, nil
		}
	}
}

// memoryWatch looks for the peak of a server's memory.
type memoryWatch struct {
	stop, done chan struct{}
	peak       uint64 // PSS of all processes
}

// memoryEvery is how often a memoryWatch looks.
const memoryEvery = 50 * time.Millisecond

// watchMemory begins to watch; end has to be called.
func watchMemory(s *server) *memoryWatch {
	w := &memoryWatch{stop: make(chan struct{}), done: make(chan struct{})}
	go func() {
		defer close(w.done)
		tick := time.NewTicker(memoryEvery)
		defer tick.Stop()
		for {
			w.peak = max(w.peak, rig.MemoryOf(s.pid()).PSS)
			select {
			case <-tick.C:
			case <-w.stop:
				return
			}
		}
	}()
	return w
}

// end returns the peak in bytes.
func (w *memoryWatch) end() uint64 {
	close(w.stop)
	<-w.done
	return w.peak
}
