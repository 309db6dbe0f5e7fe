package mdbox

import (
	"context"
	"errors"
)

var errNodes = errors.New("mdbox: the mailbox tree of LAYOUT=index can not be changed yet")

func (s *Store) createNode(context.Context, string, string) error { return errNodes }
func (s *Store) deleteNode(context.Context, string) error         { return errNodes }
func (s *Store) renameNode(context.Context, string, string) error { return errNodes }
