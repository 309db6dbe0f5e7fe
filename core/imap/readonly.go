package imap

// access says what a command changes, if anything.
type access uint8

const (
	readsOnly      access = iota
	writesStorage         // mailboxes other than the selected one
	writesSelected        // the selected mailbox: not after EXAMINE
)

// errReadOnly is the answer to all commands that would write, if storage can only read.
var errReadOnly = no("READ-ONLY", "This server only reads: mailboxes can not be changed through it.")

// errExamined is the answer to commands that would change a mailbox that was opened by EXAMINE (RFC 3501 §6.3.2).
var errExamined = no("READ-ONLY", "Mailbox is selected read-only.")

// permit refuses a command that may not write, whatever its arguments are, and its literal before it is sent.
func (r *request) permit() error {
	switch {
	case r.cmd.access == readsOnly:
		return nil
	case r.srv.writer == nil:
		return errReadOnly
	case r.reader():
		return errReader
	case r.cmd.access == writesSelected && !r.mayWrite():
		return errExamined
	}
	return nil
}

// errReader is the answer to all commands that would write, in a session whose login was for reading alone.
var errReader = no("READ-ONLY", "You have logged in with a password for reading only.")

// reader reports whether the session's login was for reading alone.
func (r *request) reader() bool { return r.st.Flags&flagReader != 0 }

// mayWrite reports whether the session may change the selected mailbox.
func (r *request) mayWrite() bool { return r.st.Flags&flagReadWrite != 0 }
