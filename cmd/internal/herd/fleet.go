package herd

import (
	"errors"
	"fmt"
	"io"
	"net/rpc"
	"os"
	"os/exec"
	"slices"
	"sync"
	"time"
)

// Fleet is a herd that is spread over child processes.
type Fleet struct {
	children []*child
	open     []*child // those with sessions
}

type child struct {
	cmd *exec.Cmd
	rpc *rpc.Client
}

// duplex is a pair of pipes.
type duplex struct {
	io.Reader
	io.WriteCloser
}

// StartFleet starts n processes with command, which must call Serve on their standard input and output.
func StartFleet(n int, command ...string) (*Fleet, error) {
	f := &Fleet{}
	for range n {
		cmd := exec.Command(command[0], command[1:]...)
		cmd.Stderr = os.Stderr
		in, err1 := cmd.StdinPipe()
		out, err2 := cmd.StdoutPipe()
		if err := errors.Join(err1, err2); err != nil {
			return nil, errors.Join(err, f.Stop())
		}
		if err := cmd.Start(); err != nil {
			return nil, errors.Join(fmt.Errorf("herd: %w", err), f.Stop())
		}
		f.children = append(f.children, &child{cmd, rpc.NewClient(duplex{out, in})})
	}
	return f, nil
}

// Stop ends the processes, and with them all sessions, and waits for them.
func (f *Fleet) Stop() error {
	var errs []error
	for _, c := range f.children {
		errs = append(errs, c.rpc.Close(), c.cmd.Wait())
	}
	f.children, f.open = nil, nil
	return errors.Join(errs...)
}

// PIDs returns the process ids of the children.
func (f *Fleet) PIDs() []int {
	var p []int
	for _, c := range f.children {
		p = append(p, c.cmd.Process.Pid)
	}
	return p
}

// all calls a method of every child at the same time.
func all[R any](children []*child, method string, args func(n int) any) ([]R, error) {
	results := make([]R, len(children))
	errs := make([]error, len(children))
	var wg sync.WaitGroup
	for n, c := range children {
		wg.Go(func() { errs[n] = c.rpc.Call("Herd."+method, args(n), &results[n]) })
	}
	wg.Wait()
	return results, errors.Join(errs...)
}

// share returns the part of n that falls to child number i of k.
func share(n, i, k int) int { return n*(i+1)/k - n*i/k }

// Open opens a herd, as the function Open does, in equal parts. The one before must be closed.
func (f *Fleet) Open(o Options) (Opened, error) {
	k := min(len(f.children), max(o.N, 1))
	f.open = f.children[:k]
	rs, err := all[Opened](f.open, "Open", func(n int) any { return f.part(o, n, k) })
	var sum Opened
	for _, r := range rs {
		sum.Sessions += r.Sessions
		sum.Took = max(sum.Took, r.Took)
	}
	return sum, err
}

// part returns the options of child n of k.
func (f *Fleet) part(o Options, n, k int) Options {
	p := o
	p.N = share(o.N, n, k)
	p.First = o.First + o.N*n/k
	if o.Clients == 0 {
		o.Clients = 16
	}
	p.Clients = max(share(o.Clients, n, k), 1)
	if o.Network == 0 {
		o.Network = 10
	}
	p.Network = o.Network + byte(n)
	return p
}

// Check is Herd.Check of all children.
func (f *Fleet) Check() (Checked, error) {
	rs, err := all[Checked](f.open, "Check", none)
	sum := Checked{LostIn: map[string]int{}}
	for _, r := range rs {
		sum.Alive += r.Alive
		sum.Lost += r.Lost
		sum.In += r.In
		sum.Out += r.Out
		sum.Took = max(sum.Took, r.Took)
		if sum.Error == "" {
			sum.Error = r.Error
		}
		for s, n := range r.LostIn {
			sum.LostIn[s] += n
		}
	}
	return sum, err
}

// Wake is Herd.Wake, with clients and rate shared by the children; fewer clients than children leave some out.
func (f *Fleet) Wake(w Waking) (Woken, error) {
	use := f.open
	if w.Rate == 0 {
		use = use[:min(len(use), max(w.Clients, 1))]
	}
	rs, err := all[Woken](use, "Wake", func(n int) any {
		p := w
		p.Clients = share(w.Clients, n, len(use))
		p.Rate = w.Rate / float64(len(use))
		return p
	})
	// One client is one child's: the next time it is another's, whose sessions have slept.
	f.open = append(slices.Clone(f.open[len(use):]), use...)
	var sum Woken
	for _, r := range rs {
		sum.Latencies = append(sum.Latencies, r.Latencies...)
		sum.Took = max(sum.Took, r.Took)
		sum.Late = max(sum.Late, r.Late)
		sum.Lost += r.Lost
		sum.Left += r.Left
		if sum.Error == "" {
			sum.Error = r.Error
		}
	}
	return sum, err
}

// Listen is Herd.Listen of all children.
func (f *Fleet) Listen() error {
	_, err := all[struct{ OK bool }](f.open, "Listen", none)
	return err
}

// Await is Herd.Await of all children.
func (f *Fleet) Await() (Heard, error) {
	rs, err := all[Heard](f.open, "Await", none)
	var sum Heard
	for _, r := range rs {
		sum.Sessions += r.Sessions
		sum.Missing += r.Missing
		sum.Last = max(sum.Last, r.Last)
		if sum.First == 0 || r.First < sum.First {
			sum.First = r.First
		}
	}
	return sum, err
}

// Tell is Herd.Tell of n sessions, shared by the children.
func (f *Fleet) Tell(n int) (Told, error) {
	rs, err := all[Told](f.open, "Tell", func(i int) any { return share(n, i, len(f.open)) })
	var sum Told
	for _, r := range rs {
		sum.Asked += r.Asked
		sum.Wrong += r.Wrong
		if sum.Error == "" {
			sum.Error = r.Error
		}
	}
	return sum, err
}

// Logins is the function Logins, with o.Clients and o.N shared by the children.
func (f *Fleet) Logins(o Options, d time.Duration) (LoggedIn, error) {
	k := min(len(f.children), max(o.Clients, 1))
	rs, err := all[LoggedIn](f.children[:k], "Logins", func(n int) any { return LoggingIn{f.part(o, n, k), d} })
	var sum LoggedIn
	for _, r := range rs {
		sum.N += r.N
		sum.Took = max(sum.Took, r.Took)
		sum.Latencies = append(sum.Latencies, r.Latencies...)
	}
	return sum, err
}

// Close closes all sessions.
func (f *Fleet) Close() error {
	_, err := all[struct{ OK bool }](f.open, "Close", none)
	f.open = nil
	return err
}

func none(int) any { return struct{ N int }{} }
