package imap

// replaced reads what REPLACE has before the mailbox.
func (r *request) replaced() uint32 { return 0 }
