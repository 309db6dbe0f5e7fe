package imap

import "github.com/roostmail/roost/core/session"

// errReadOnly is the answer to all commands that would write.
var errReadOnly = no("READ-ONLY", "This server only reads: mailboxes can not be changed through it.")

// quickReadOnly answers a command that would write, whatever its arguments are.
func quickReadOnly(*request) (bool, error) { return true, errReadOnly }

// refuseReadOnly refuses its literal, before it is sent.
func refuseReadOnly(*request) (session.LiteralAnswer, error) { return 0, errReadOnly }
