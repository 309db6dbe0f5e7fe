package dbox

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"github.com/roostmail/roost/mdbox/vfs"
)

// A transaction that appends to mail files keeps a note of it in a file beside them, locked (flock) as long as its process
// lives: one line "<file_id> <end>\n" for each mail file, with the end that it had before, in decimal. If the process is
// killed, the next one finds what it has left: messages that no map knows, which a repair would bring to light as new
// ones, or a part of one, which is damage to Dovecot. To Dovecot the note is one of the temporary files, which it
// removes when they are old. A note is never synced: after a power cut it may be missing.
//
// To make and remove a file for each transaction takes longer than all else that a note is for, and makes the syncs of the mail files
// wait for the directory as well. So an empty note is kept for the next transaction, until Files.CloseIdle or Close.
const noteSuffix = ".appends"

// IsNote reports whether a file beside mail files is the note of a transaction. An empty one says nothing.
func IsNote(name string) bool {
	return strings.HasPrefix(name, tempPrefix) && strings.HasSuffix(name, noteSuffix)
}

// maxNote bounds a note, in bytes: many thousands of files.
const maxNote = 1 << 20

type note struct {
	f    vfs.WritableFile
	size int64
}

// newNote returns an empty note in dir: one that was kept, or a new one.
func (s *Files) newNote(dir string) (*note, error) {
	for n := s.keptNote(dir); n != nil; n = s.keptNote(dir) {
		if st, err := n.f.Stat(); err == nil && st.Links > 0 && st.Size == 0 {
			return n, nil
		}
		_ = n.f.Close() // Dovecot has removed it
	}
	perm, _, err := s.cfg.Perms()
	if err != nil {
		return nil, fmt.Errorf("dbox: note of appending: %w", err)
	}
	for range noteTries {
		path := filepath.Join(dir, s.tempName()+noteSuffix)
		f, err := perm.Create(s.cfg.FS, path, 0)
		if err != nil {
			return nil, fmt.Errorf("dbox: note of appending: %w", err)
		}
		ok, err := f.TryLock(vfs.LockFlock)
		if err == nil && ok {
			if _, err = s.cfg.FS.Stat(path); err == nil {
				return &note{f: f}, nil
			}
		}
		if err = errors.Join(err, f.Close(), s.remove(path)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("dbox: note of appending: %w", err)
		}
	}
	return nil, errors.New("dbox: note of appending: somebody removes each that is made")
}

// noteTries is how often a note is made: somebody who looks for notes can take a new one for an old one before it is locked.
const noteTries = 10

// add notes that messages will be appended to a file.
func (n *note) add(c Candidate) error {
	line := fmt.Appendf(nil, "%d %d\n", c.File, c.End)
	if _, err := n.f.WriteAt(line, n.size); err != nil {
		return fmt.Errorf("dbox: note of appending: %w", err)
	}
	n.size += int64(len(line))
	return nil
}

// keptNote returns a note in dir that was kept, which is the caller's then; nil if there is none.
func (s *Files) keptNote(dir string) *note {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.IndexFunc(s.notes, func(n *note) bool { return filepath.Dir(n.f.Name()) == dir })
	if i < 0 {
		return nil
	}
	n := s.notes[i]
	s.notes = slices.Delete(s.notes, i, i+1)
	return n
}

// end ends the note of a transaction that is done, which is kept for another transaction if there are not enough of them.
func (n *note) end(s *Files) error {
	s.mu.Lock()
	kept := !s.closed && len(s.notes) < maxKeptNotes
	if kept {
		if n.size, kept = 0, n.f.Truncate(0) == nil; kept {
			s.notes = append(s.notes, n)
		}
	}
	s.mu.Unlock()
	if kept {
		return nil
	}
	return n.remove(s)
}

// maxKeptNotes is how many notes a store keeps.
const maxKeptNotes = 4

// removeNotes removes the notes that were kept. s.mu is held.
func (s *Files) removeNotes() (err error) {
	for _, n := range s.notes {
		err = errors.Join(err, n.remove(s))
	}
	s.notes = nil
	return err
}

// remove removes the note.
func (n *note) remove(s *Files) error {
	return errors.Join(s.remove(n.f.Name()), n.f.Close())
}

// Interrupted is a transaction whose process has ended without Release or Abort.
type Interrupted struct {
	Files []Candidate // what it may have appended to, with the end from before, ascending in each file
	store *Files
	note  note
}

// Interrupted returns the transactions that were cut off by the end of their process. For each file the caller takes FILE and
// MAP, in this order, looks with Locked.After what was left, and makes what the map does not know harmless: complete
// messages get a record with refcount 0, since the next purge shall remove them, and a part of one is cut off with Locked.Cut.
// Each of them is ended with Done, or with Close to be found again.
func (s *Files) Interrupted() (all []*Interrupted, err error) {
	err = s.eachName(func(dir, name string) error {
		if !IsNote(name) {
			return nil
		}
		i, err := s.readNote(filepath.Join(dir, name))
		if i != nil {
			all = append(all, i)
		}
		return err
	})
	if err != nil {
		for _, i := range all {
			err = errors.Join(err, i.Close())
		}
		return nil, err
	}
	return all, nil
}

// readNote returns nil if the note's process lives, or if it has just ended the note.
func (s *Files) readNote(path string) (*Interrupted, error) {
	f, err := s.cfg.FS.OpenWrite(path, 0, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	ok, err := f.TryLock(vfs.LockFlock)
	if !ok {
		return nil, errors.Join(err, f.Close())
	}
	b, err := io.ReadAll(io.NewSectionReader(f, 0, maxNote))
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &Interrupted{Files: decodeNote(b), store: s, note: note{f: f}}, nil
}

// decodeNote returns what the lines of a note say, up to the first that is not one: a kill can cut the last.
func decodeNote(b []byte) (all []Candidate) {
	lines := bufio.NewScanner(bytes.NewReader(b[:bytes.LastIndexByte(b, '\n')+1]))
	for lines.Scan() {
		var c Candidate
		var rest string
		if n, _ := fmt.Sscanf(lines.Text(), "%d %d%s", &c.File, &c.End, &rest); n != 2 || c.File == 0 {
			break
		}
		all = append(all, c)
	}
	return all
}

// Done removes the note.
func (i *Interrupted) Done() error { return i.note.remove(i.store) }

// Close keeps the note: the transaction will be found again.
func (i *Interrupted) Close() error { return i.note.f.Close() }

// Size returns the size of the file when it was locked.
func (l *Locked) Size() uint64 { return l.size }

// After returns the complete messages behind off, which is the start of a message or the end of the last, and where they
// end: at Size, unless something else follows. The error is ErrReplaced if off is neither: the file was written anew.
func (l *Locked) After(off uint64) (messages []Ref, end uint64, err error) {
	end = l.first
	known := off == end
	err = l.Scan(func(_ FileHeader, m *Scanned) error {
		if m.Offset >= off && known {
			messages = append(messages, Ref{l.id, uint32(m.Offset), uint32(m.End - m.Offset)})
		}
		end = m.End
		known = known || end == off
		return nil
	})
	var corrupt *vfs.CorruptError
	switch {
	case known && (err == nil || errors.As(err, &corrupt)):
		return messages, end, nil
	case err == nil:
		err = fmt.Errorf("%s: %w", l.f.Name(), ErrReplaced)
	}
	return nil, 0, err
}

// Cut removes everything behind end, where After has found that the complete messages end. It must be known that the
// rest was left by a transaction that is over.
func (l *Locked) Cut(end uint64) error {
	if err := l.f.Truncate(int64(end)); err != nil {
		return fmt.Errorf("dbox: %w", err)
	}
	l.size = end
	return nil
}
