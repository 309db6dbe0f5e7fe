package ldap

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/go-ldap/ldap/v3"
)

// directory is the connections to the directory. It is safe for concurrent use.
type directory struct {
	opts *options
	turn chan struct{} // one element for each bind under way

	mu      sync.Mutex   // not held while the directory is waited for
	search  *ldap.Conn   // bound as opts.dn; nil = none yet
	joining *joining     // the attempt to make it, nil = none
	idle    []*ldap.Conn // for binds
	closed  bool
}

// joining is an attempt to connect. All who need the connection meanwhile wait for the one, so that a directory that does not answer keeps
// each of them no longer than the first.
type joining struct {
	done chan struct{} // closed when there are conn or err
	conn *ldap.Conn
	err  error
}

func newDirectory(o *options) *directory {
	return &directory{opts: o, turn: make(chan struct{}, o.connections)}
}

// dial connects to the first server that answers.
func (d *directory) dial() (*ldap.Conn, error) {
	var failures []error
	for _, uri := range d.opts.uris {
		c, err := ldap.DialURL(uri, ldap.DialWithDialer(d.opts.dialer()), ldap.DialWithTLSConfig(d.opts.tlsFor(uri)))
		if err == nil {
			c.SetTimeout(d.opts.timeout)
			if d.opts.startTLS && strings.HasPrefix(uri, "ldap:") {
				err = c.StartTLS(d.opts.tlsFor(uri))
			}
			if err == nil {
				return c, nil
			}
			c.Close()
		}
		failures = append(failures, fmt.Errorf("%s: %w", uri, err))
	}
	return nil, errors.Join(failures...)
}

// searcher returns the connection for searches; a new one if it is old.
func (d *directory) searcher(ctx context.Context, old *ldap.Conn) (*ldap.Conn, error) {
	d.mu.Lock()
	if d.closed {
		d.mu.Unlock()
		return nil, errClosed
	}
	if c := d.search; c != nil && c != old && !c.IsClosing() {
		d.mu.Unlock()
		return c, nil
	}
	if d.joining == nil {
		if d.search != nil {
			d.search.Close()
			d.search = nil
		}
		d.joining = &joining{done: make(chan struct{})}
		go d.join(d.joining) // ends with the attempt, by opts.timeout for each server
	}
	j := d.joining
	d.mu.Unlock()
	select {
	case <-j.done:
		return j.conn, j.err
	case <-ctx.Done():
		return nil, errGivenUp
	}
}

var (
	errClosed  = errors.New("closed")
	errGivenUp = errors.New("no answer yet")
)

// join makes the connection for searches.
func (d *directory) join(j *joining) {
	defer close(j.done)
	c, err := d.dial()
	if err == nil && d.opts.dn != "" {
		if err = c.Bind(d.opts.dn, d.opts.password); err != nil {
			c.Close()
			err = fmt.Errorf("bind as %s: %w", d.opts.dn, err)
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.joining = nil
	if err == nil && d.closed {
		c.Close()
		err = errClosed
	}
	if err != nil {
		j.err = err
		return
	}
	j.conn, d.search = c, c
}

// find returns the only entry that a search finds; nil = there is none.
func (d *directory) find(ctx context.Context, base, filter string, attributes []string) (*ldap.Entry, error) {
	list, more, err := d.entries(ctx, base, filter, attributes, 2)
	switch {
	case err != nil:
		return nil, err
	case more || len(list) > 1:
		return nil, errMany
	case len(list) == 0:
		return nil, nil
	}
	return list[0], nil
}

// entries returns what a search finds, most entries at the most, and whether there are more. A directory may have a lower limit of its own.
func (d *directory) entries(ctx context.Context, base, filter string, attributes []string, most int) (list []*ldap.Entry, more bool, err error) {
	request := ldap.NewSearchRequest(base, d.opts.scope, ldap.NeverDerefAliases, most, int(d.opts.timeout.Seconds()), false, filter, attributes, nil)
	var c *ldap.Conn
	for try := 0; ; try++ {
		if c, err = d.searcher(ctx, c); err != nil {
			return nil, false, err
		}
		result, err := c.Search(request)
		switch {
		case ldap.IsErrorWithCode(err, ldap.LDAPResultNoSuchObject):
			return nil, false, nil
		case err == nil:
			return result.Entries, false, nil
		case ldap.IsErrorWithCode(err, ldap.LDAPResultSizeLimitExceeded):
			return result.Entries, true, nil
		case try > 0 || !lost(err):
			return nil, false, err
		}
	}
}

var errMany = errors.New("the filter finds more than one entry")

// lost reports whether an error is the connection's and not the directory's, whose result codes are below those of the library.
func lost(err error) bool {
	var e *ldap.Error
	return !errors.As(err, &e) || e.ResultCode >= ldap.ErrorNetwork
}

// bind reports whether a password is that of an entry.
func (d *directory) bind(ctx context.Context, dn, password string) (bool, error) {
	if password == "" || dn == "" { // RFC 4513 §5.1.2: it would succeed
		return false, nil
	}
	select {
	case d.turn <- struct{}{}:
		defer func() { <-d.turn }()
	case <-ctx.Done():
		return false, errGivenUp
	}
	for {
		c, fresh, err := d.binder()
		if err != nil {
			return false, err
		}
		err = c.Bind(dn, password)
		switch {
		case err == nil || ldap.IsErrorAnyOf(err, ldap.LDAPResultInvalidCredentials, ldap.LDAPResultNoSuchObject, ldap.LDAPResultInvalidDNSyntax, ldap.LDAPResultInappropriateAuthentication):
			d.putBack(c)
			return err == nil, nil
		case fresh || !lost(err):
			c.Close()
			return false, err
		}
		c.Close()
		d.forgetIdle() // they may be lost as well, each after opts.timeout
	}
}

// forgetIdle closes the connections for binds that nobody uses.
func (d *directory) forgetIdle() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, c := range d.idle {
		c.Close()
	}
	d.idle = nil
}

// binder returns a connection for one bind; fresh = it has just been made.
func (d *directory) binder() (c *ldap.Conn, fresh bool, err error) {
	d.mu.Lock()
	if n := len(d.idle); n > 0 {
		c, d.idle = d.idle[n-1], d.idle[:n-1]
	}
	d.mu.Unlock()
	if c != nil && !c.IsClosing() {
		return c, false, nil
	}
	c, err = d.dial()
	return c, true, err
}

func (d *directory) putBack(c *ldap.Conn) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		c.Close()
		return
	}
	d.idle = append(d.idle, c)
}

func (d *directory) close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
	for _, c := range append(d.idle, d.search) {
		if c != nil {
			c.Close()
		}
	}
	d.idle, d.search = nil, nil
}
