package maildir

import (
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"github.com/roostmail/roost/mdbox/filelock"
	"github.com/roostmail/roost/mdbox/index"
	"github.com/roostmail/roost/mdbox/vfs"
)

// Limits where Config has none.
const (
	DefaultMaxUidlistBytes = 1 << 30 // of a dovecot-uidlist
	DefaultMaxMessageSize  = 2 << 30 // of a message that is saved, bytes
)

// Config says how the mailboxes of a store are read and written. It may be shared, and is not changed.
type Config struct {
	FS   vfs.FS           // nil = vfs.OS
	Lock *filelock.Config // nil: mailboxes are only read
	// Fsync is mail_fsync.
	Fsync index.Fsync
	// SaveCRLF stores messages with CRLF line ends: mail_save_crlf.
	SaveCRLF bool
	// NewUIDValidity returns the UIDVALIDITY of a mailbox that has none.
	NewUIDValidity func() (uint32, error)
	// MaxUidlistBytes limits the size of a dovecot-uidlist; 0 = DefaultMaxUidlistBytes.
	MaxUidlistBytes int64
	// MaxMessageSize limits a message that is saved, in bytes; 0 = DefaultMaxMessageSize.
	MaxMessageSize uint64
	// Places returns the directories that mailboxes have for Dirs.Control, where a lock is looked for that was moved; nil: it is not.
	Places func() []string
	// Report is told of what was put right, and of what could not be; nil = nobody.
	Report func(error)
	Now    func() time.Time // nil = time.Now
}

func (c *Config) fs() vfs.FS {
	if c.FS == nil {
		return vfs.OS
	}
	return c.FS
}

func (c *Config) now() time.Time {
	if c.Now == nil {
		return time.Now()
	}
	return c.Now()
}

func (c *Config) maxMessageSize() uint64 {
	if c.MaxMessageSize == 0 {
		return DefaultMaxMessageSize
	}
	return c.MaxMessageSize
}

func (c *Config) report(err error) {
	if c.Report != nil {
		c.Report(err)
	}
}

const (
	uidlistName  = "dovecot-uidlist"
	keywordsName = "dovecot-keywords"
)

// Dirs is where the files of a mailbox are.
type Dirs struct {
	Mail    string // holds cur/, new/ and tmp/
	Control string // dovecot-uidlist and dovecot-keywords
}

// Mailbox is a maildir. It holds no file open, and is safe for concurrent use.
type Mailbox struct {
	c    *Config
	dirs Dirs
	perm vfs.Perm

	mu sync.Mutex
	// list is dovecot-uidlist as it was when listInfo described it; nil = not read.
	list     *Uidlist
	listInfo vfs.Info
	// files has the files that were seen last, "cur/<name>" or "new/<name>", by base; nil = the directories were not read.
	files map[string]string
}

// New returns the mailbox in dirs, which exist. perm is that of new files.
func New(c *Config, dirs Dirs, perm vfs.Perm) *Mailbox { return &Mailbox{c: c, dirs: dirs, perm: perm} }

func (m *Mailbox) uidlistPath() string     { return filepath.Join(m.dirs.Control, uidlistName) }
func (m *Mailbox) keywordsPath() string    { return filepath.Join(m.dirs.Control, keywordsName) }
func (m *Mailbox) path(file string) string { return filepath.Join(m.dirs.Mail, file) }

// Fresh reports whether the index shows what is in the directories, and has no changes that are to be carried out: then there is
// nothing to Sync. It costs two stats.
func (m *Mailbox) Fresh(s *index.State) (bool, error) {
	if s.UIDValidity() == 0 || s.Tail() != s.Pos() {
		return false, nil
	}
	_, stale, err := m.stamps(s)
	return !stale && err == nil, err
}

// stamps returns what the index knows of the directories, and whether they are to be read again.
func (m *Mailbox) stamps(s *index.State) (h Header, stale bool, err error) {
	if e := s.Ext(ExtHeader); e != nil {
		if h, err = DecodeHeader(e.Header()); err != nil {
			m.c.report(fmt.Errorf("maildir: index of %s: %w", m.dirs.Mail, err))
		}
	}
	now := uint32(m.c.now().Unix())
	for dir, stamp := range map[string]DirStamp{dirNew: h.New, dirCur: h.Cur} {
		st, err := m.c.fs().Stat(m.path(dir))
		if err != nil {
			return h, true, err
		}
		stale = stale || stamp.stale(st, now)
	}
	return h, stale, nil
}
