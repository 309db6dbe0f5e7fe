package imap

import "time"

// SetLoginClock makes the server take the time of logins from now.
func (srv *Server) SetLoginClock(now func() time.Time) {
	a := srv.doors.attempts
	for i := range a.shards {
		a.shards[i].mu.Lock()
		defer a.shards[i].mu.Unlock()
	}
	a.now = now
}

// CountedAddresses returns for how many users and addresses there are counts.
func (srv *Server) CountedAddresses() int { return srv.doors.perAddress.Len() }

// WithProgressClock returns cfg for a server that takes the time of INPROGRESS from now, or from ticks during calls that change mail.
func WithProgressClock(cfg Config, now func() time.Time, ticks <-chan time.Time) Config {
	cfg.clock = &progressClock{now, func(_ time.Duration, f func()) func() {
		stop, ended := make(chan struct{}), make(chan struct{})
		go func() { // ends when it is stopped
			defer close(ended)
			for {
				select {
				case <-ticks:
					f()
				case <-stop:
					return
				}
			}
		}()
		return func() { close(stop); <-ended }
	}}
	return cfg
}
