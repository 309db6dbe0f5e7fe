package maildir

import (
	"errors"
	"strings"

	"github.com/roostmail/roost/mdbox/mailboxlist"
)

// Marker is the name of the empty file that says that a directory is a mailbox of a Maildir++ tree and not its root.
const Marker = "maildirfolder"

// Subdirectories of a maildir.
const (
	dirNew = "new"
	dirCur = "cur"
	dirTmp = "tmp"
)

// PlusPlus converts between the names of mailboxes, with '/' between levels, and the directories of LAYOUT=maildir++:
// INBOX is the root itself, "A/B" the directory ".A.B". Names are in modified UTF-7 there unless UTF8 is set.
type PlusPlus struct{ UTF8 bool }

// maxDir is the longest name of a directory, in bytes.
const maxDir = 255

// errDot says that a name is not possible in this layout.
var errDot = errors.New("has a level with a dot")

// Dir returns the directory of a mailbox below the root; "" for INBOX. The error is a *mailboxlist.NameError.
func (p PlusPlus) Dir(name string) (string, error) {
	storage, err := mailboxlist.Codec{UTF8: p.UTF8, Dir: Marker}.Storage(name)
	if err != nil {
		return "", err
	}
	if storage == mailboxlist.Inbox {
		return "", nil
	}
	if strings.Contains(storage, ".") {
		return "", &mailboxlist.NameError{Name: name, Reason: errDot.Error()}
	}
	dir := "." + strings.ReplaceAll(storage, "/", ".")
	if len(dir) > maxDir {
		return "", &mailboxlist.NameError{Name: name, Reason: "has more than 254 bytes in its file name"}
	}
	return dir, nil
}

// Name is the inverse of Dir.
func (p PlusPlus) Name(dir string) (string, error) {
	if dir == "" {
		return mailboxlist.Inbox, nil
	}
	rest, ok := strings.CutPrefix(dir, ".")
	if !ok || strings.Contains(dir, "/") || len(dir) > maxDir {
		return "", &mailboxlist.NameError{Name: dir, Reason: "is not that of a mailbox"}
	}
	name, err := mailboxlist.Codec{UTF8: p.UTF8, Dir: Marker}.Name(strings.ReplaceAll(rest, ".", "/"))
	if err == nil && name == mailboxlist.Inbox {
		err = &mailboxlist.NameError{Name: dir, Reason: "is INBOX, which is the root"}
	}
	return name, err
}
