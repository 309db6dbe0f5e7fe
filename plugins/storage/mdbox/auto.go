package mdbox

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/mdbox"
)

// auto returns how a namespace wants a mailbox to be there: it is made when it is first used (auto = "create" or "subscribe").
func (n *namespace) auto(name string) (make, subscribe bool) {
	for _, m := range n.Mailboxes {
		if m.Name == name {
			return m.Auto == "create" || m.Auto == "subscribe", m.Auto == "subscribe"
		}
	}
	return false, false
}

// makeAuto makes and opens a mailbox that does not exist, if it is to be there. Else the error is mdbox.ErrNotFound.
func (c *stores) makeAuto(s *mdbox.Store, p place, name string) (*mdbox.Mailbox, error) {
	wanted, subscribe := c.namespaces[p.namespace].auto(name)
	if !wanted {
		return nil, fmt.Errorf("%w: %s", mdbox.ErrNotFound, name)
	}
	if err := s.EnsureMailbox(context.Background(), name, subscribe); err != nil {
		return nil, err
	}
	return s.OpenMailbox(name)
}

// addAuto adds the mailboxes that are made when they are first used to a list, which is sorted by name.
func (n *namespace) addAuto(list []backend.MailboxInfo) []backend.MailboxInfo {
	for _, m := range n.Mailboxes {
		wanted, subscribe := n.auto(m.Name)
		if !wanted {
			continue
		}
		i, found := slices.BinarySearchFunc(list, m.Name, func(x backend.MailboxInfo, name string) int { return strings.Compare(x.Name, name) })
		if !found {
			list = slices.Insert(list, i, backend.MailboxInfo{Name: m.Name, Subscribed: subscribe})
		}
		list[i].NoSelect, list[i].NonExistent = false, false
	}
	return list
}
