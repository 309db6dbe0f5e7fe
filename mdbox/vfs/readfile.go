package vfs

import (
	"errors"
	"fmt"
	"io"
)

// ErrTooLarge is returned by ReadFile for a file larger than allowed.
var ErrTooLarge = errors.New("file is larger than allowed")

// ReadFile returns the content of a file of at most max bytes. A file that
// grows meanwhile is read up to the size it had when it was opened.
func ReadFile(fsys FS, name string, max int64) ([]byte, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if st.Size > max {
		return nil, fmt.Errorf("%s: %d bytes, limit %d: %w", name, st.Size, max, ErrTooLarge)
	}
	b := make([]byte, st.Size)
	n, err := f.ReadAt(b, 0)
	if err == io.EOF {
		err = nil // it shrank: the caller's decoder judges what is left
	}
	return b[:n], err
}
