package keeper

import (
	"log/slog"
	"net"
	"sync"
)

// Local is the control socket of a server that is one process, without a keeper.
type Local struct {
	c        *control
	requests chan *request
	stop     chan struct{}
	wg       sync.WaitGroup

	// Asked is that of Client.
	Asked chan Asked
}

// ListenLocal opens the control socket.
func ListenLocal(path string, log *slog.Logger) (*Local, error) {
	l := &Local{requests: make(chan *request), stop: make(chan struct{}), Asked: make(chan Asked, maxAsked)}
	var err error
	if l.c, err = listenControl(path, l.requests, log); err != nil {
		return nil, err
	}
	l.wg.Go(l.run) // ends with Close
	return l, nil
}

func (l *Local) run() {
	for {
		select {
		case r := <-l.requests:
			r.answer(l.answer(r))
		case <-l.stop:
			return
		}
	}
}

func (l *Local) answer(r *request) Answer {
	if r.Op == OpBinary {
		return Answer{Error: "no keeper holds this server's sessions ([keeper] enabled = false, or roost dev): it can only be ended and started anew"}
	}
	f, err := r.conn.File() // the request closes its own
	if err != nil {
		return Answer{Error: err.Error()}
	}
	conn, err := net.FileConn(f)
	f.Close()
	if err != nil {
		return Answer{Error: err.Error()}
	}
	select {
	case l.Asked <- Asked{r.Request, conn}:
		return Answer{passed: true}
	default:
		conn.Close()
		return Answer{Error: "too many requests wait"}
	}
}

// Close removes the socket. Requests that nobody has received are closed.
func (l *Local) Close() {
	l.c.close()
	close(l.stop)
	l.wg.Wait()
	for {
		select {
		case a := <-l.Asked:
			a.Conn.Close()
		default:
			return
		}
	}
}
