package server

import (
	"fmt"
	"net"

	"github.com/roostmail/roost/core/config"
)

// listeners are bound sockets that nobody serves yet.
type listeners struct {
	imap, imaps []net.Listener
	admin       net.Listener
}

// bind opens every address of the configuration, or none.
func bind(c *config.Config, e *estate) (*listeners, error) {
	ls := &listeners{}
	keys := map[string]string{"imap": "[imap] listen", "imaps": "[imap] imaps_listen", "admin": "[admin] listen"}
	add := func(kind, address string) (net.Listener, error) {
		l, err := e.listen(kind, address)
		if err != nil {
			ls.close()
			return nil, fmt.Errorf("server: %s: %w", keys[kind], err)
		}
		return l, nil
	}
	for _, a := range c.IMAP.Listen {
		l, err := add("imap", a)
		if err != nil {
			return nil, err
		}
		ls.imap = append(ls.imap, l)
	}
	for _, a := range c.IMAP.IMAPSListen {
		l, err := add("imaps", a)
		if err != nil {
			return nil, err
		}
		ls.imaps = append(ls.imaps, l)
	}
	if c.Admin.Listen != "" {
		l, err := add("admin", c.Admin.Listen)
		if err != nil {
			return nil, err
		}
		ls.admin = l
	}
	return ls, nil
}

// close closes what is left. Sockets that the engine took over are not hurt by it: it works on descriptors of its own.
func (ls *listeners) close() {
	for _, l := range append(append([]net.Listener(nil), ls.imap...), ls.imaps...) {
		l.Close()
	}
	if ls.admin != nil {
		ls.admin.Close()
	}
}
