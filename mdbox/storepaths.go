package mdbox

// Paths is where the files of a store are, for who looks at them one by one.
type Paths struct {
	Storage    string // m.N
	AltStorage string // m.N of ALT, "" = none
	Map        string // dovecot.map.index
	Control    string // subscriptions, dovecot-uidvalidity
	ListIndex  string // path of dovecot.list.index
}

// Paths returns where the files of the store are.
func (s *Store) Paths() Paths {
	l := &s.location
	return Paths{Storage: l.storageDir(), AltStorage: l.altStorageDir(), Map: l.mapDir(), Control: l.Control, ListIndex: l.Index + "/" + l.ListIndex}
}

// MailDirs returns the directories in which a mailbox's messages are, in a format that has one for each mailbox; none for others. Errors are
// those of OpenMailbox.
func (s *Store) MailDirs(name string) (dirs []string, err error) {
	if s.location.Format != FormatSdbox {
		return nil, nil
	}
	dir, err := s.mailboxDir(name)
	if err != nil {
		return nil, err
	}
	dirs = []string{s.location.mailboxDir(dir)}
	if s.location.Alt != "" {
		dirs = append(dirs, s.location.altMailboxDir(dir))
	}
	return dirs, nil
}

// MailboxPaths returns the directories of a mailbox's index and of its cache. Errors are those of OpenMailbox.
func (s *Store) MailboxPaths(name string) (index, cache string, err error) {
	dir, err := s.mailboxDir(name)
	if err != nil {
		return "", "", err
	}
	return s.location.indexDir(dir), s.location.cacheDir(dir), nil
}
