package imap

// errReadOnly is the answer to all commands that would write.
var errReadOnly = no("READ-ONLY", "This server only reads: mailboxes can not be changed through it.")

// quickReadOnly answers a command that would write, whatever its arguments are.
func quickReadOnly(*request) (bool, error) { return true, errReadOnly }

// refuseReadOnly refuses its literal, before it is sent.
func refuseReadOnly(*request) error { return errReadOnly }
