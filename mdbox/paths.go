package mdbox

import "path/filepath"

// The directories below are those that Dovecot 2.3.19 makes for LAYOUT=fs and
// LAYOUT=index, with and without INDEX=, INDEXCACHE= and INBOX=.

// storageDir is where the m.N files are.
func (l *Location) storageDir() string { return filepath.Join(l.Root, "storage") }

// altStorageDir is the second place of m.N files, or "".
func (l *Location) altStorageDir() string {
	if l.Alt == "" {
		return ""
	}
	return filepath.Join(l.Alt, "storage")
}

// mapDir is where dovecot.map.index is.
func (l *Location) mapDir() string { return filepath.Join(l.Index, "storage") }

// mailboxesDir is the directory below a root that has one for each mailbox, or first level of their names.
func (l *Location) mailboxesDir(root string) string { return filepath.Join(root, l.MailboxDir) }

// mailboxDir is the directory whose existence means that the mailbox exists. dir is the
// mailbox's directory below mailboxes/: its storage name, or its GUID with LayoutIndex.
func (l *Location) mailboxDir(dir string) string {
	if dir == "INBOX" && l.Inbox != "" && l.Layout == LayoutFS {
		return l.Inbox
	}
	d := filepath.Join(l.mailboxesDir(l.Root), dir)
	if l.Layout == LayoutIndex {
		return d
	}
	return filepath.Join(d, l.DirName)
}

// altMailboxDir is the second place of a mailbox's u.<UID> files, or "".
func (l *Location) altMailboxDir(dir string) string {
	if l.Alt == "" {
		return ""
	}
	d := filepath.Join(l.mailboxesDir(l.Alt), dir)
	if l.Layout == LayoutIndex {
		return d
	}
	return filepath.Join(d, l.DirName)
}

// indexDir is where the mailbox's dovecot.index files are. A separate INDEX= tree has no dbox-Mails level.
func (l *Location) indexDir(dir string) string {
	if l.Index != l.Root {
		return filepath.Join(l.mailboxesDir(l.Index), l.separateName(dir))
	}
	return l.mailboxDir(dir)
}

// controlDir is where the mailbox's dovecot-uidlist is, of FormatMaildir.
func (l *Location) controlDir(dir string) string {
	if l.Control != l.Root {
		return filepath.Join(l.mailboxesDir(l.Control), l.separateName(dir))
	}
	return l.mailboxDir(dir)
}

// separateName is the directory of a mailbox in a tree that is not that of the mails. INBOX of LayoutPlusPlus is no root there.
func (l *Location) separateName(dir string) string {
	if dir == "" {
		return ".INBOX"
	}
	return dir
}

// cacheDir is where the mailbox's dovecot.index.cache is.
func (l *Location) cacheDir(dir string) string {
	if l.IndexCache != "" {
		return filepath.Join(l.mailboxesDir(l.IndexCache), l.separateName(dir))
	}
	return l.indexDir(dir)
}
