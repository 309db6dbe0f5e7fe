package dump

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"path/filepath"

	"github.com/roostmail/roost/mdbox/vfs"
)

// ErrUnknown is returned by File when the file is of no known kind.
var ErrUnknown = errors.New("not a known kind of mailstore file")

// headSize is how many bytes of a file the kinds look at.
const headSize = 64

// kind is one kind of file.
type kind struct {
	name string // as shown
	// named reports whether a file with this base name is of the kind.
	named func(base string) bool
	// magic reports whether a file that begins with head, at most headSize
	// bytes, is of the kind; nil = that can not be told.
	magic func(head []byte) bool
	// dump writes the content of f.
	dump func(p *printer, f vfs.File) error
}

var kinds = []kind{
	{"index", isIndexName, isIndex, dumpIndex},
	{"transaction log", isLogName, isLog, dumpLog},
	{"cache", isCacheName, isCache, dumpCache},
	{"mail file", isMailName, isMail, dumpMail},
	{"subscriptions", isSubscriptionsName, isSubscriptions, dumpSubscriptions},
	{"last UIDVALIDITY", isUIDValidityName, nil, dumpUIDValidity},
}

// File writes the content of the file at path to w. The error is ErrUnknown, one
// of w or of the file system, or a *vfs.CorruptError, after everything before
// the damage has been written.
func File(w io.Writer, path string) error {
	f, err := vfs.OS.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	k, err := kindOf(f, filepath.Base(path))
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	p := &printer{w: bufio.NewWriter(w)}
	p.title("%s: %s", path, k.name)
	err = vfs.At(k.dump(p, f), path, 0)
	if flushErr := p.w.Flush(); flushErr != nil {
		return flushErr
	}
	return err
}

func kindOf(f vfs.File, base string) (*kind, error) {
	for i := range kinds {
		if kinds[i].named(base) {
			return &kinds[i], nil
		}
	}
	head := make([]byte, headSize)
	n, err := f.ReadAt(head, 0)
	if err != nil && err != io.EOF {
		return nil, err
	}
	for i := range kinds {
		if m := kinds[i].magic; m != nil && m(head[:n]) {
			return &kinds[i], nil
		}
	}
	return nil, ErrUnknown
}
