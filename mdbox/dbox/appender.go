package dbox

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"

	"github.com/roostmail/roost/mdbox/vfs"
)

// Candidate is a file that new messages may go to.
type Candidate struct {
	File FileID
	End  uint64 // where the message of the file's last map record ends, bytes from the start of the file; 0: not known
}

// Appender saves the messages of one transaction. The steps of a save are, with MAP the lock of the map
// (spec mdbox.md §6.2):
//
//	Save, CopyRaw   any number; the files are locked or not yet known to anybody
//	Sync            before MAP is locked
//	Name            under MAP: new files get their numbers
//	                now the caller writes the map and the mailbox
//	Release         when the map's records are durable
//
// Until the map has a record of them, Abort takes the messages back. When it may have one, even after an error,
// the caller must Release: bytes that nothing refers to do no harm, missing ones do. The same holds if the map's
// rebuild_count has changed since the first Save: a repair may have found the messages and made records of them.
// What a process leaves that is killed before either, Interrupted finds.
// An Appender is for one goroutine at a time.
type Appender struct {
	files      *Files
	candidates iter.Seq[Candidate]
	alt        bool // appends to ALT storage
	targets    []*target
	note       *note // of what is appended to; nil: nothing yet
	full       int   // targets before this index take no more messages
	err        error // a file could not be brought back to a clean end: only Abort remains
	done       bool
}

// ErrFailed is returned by an Appender in which an earlier error left a file with garbage at its end.
var ErrFailed = errors.New("dbox: transaction has failed and can only be aborted")

// NewAppender returns an Appender to primary storage. candidates are the files that the map refers to, that of
// the last record first, each once; it is asked again whenever a file is needed.
func (s *Files) NewAppender(candidates iter.Seq[Candidate]) *Appender {
	return &Appender{files: s, candidates: candidates}
}

// NewAltAppender returns an Appender to ALT storage, for CopyRaw in a purge.
func (s *Files) NewAltAppender(candidates iter.Seq[Candidate]) *Appender {
	return &Appender{files: s, candidates: candidates, alt: true}
}

// Save stores a message. body has CRLF or LF line ends, mixed if it likes. It is read before a file is chosen: for the
// first message of a transaction no lock is held meanwhile.
//
// If it fails, the messages saved before stay, and others can be saved: the error is that of body, ErrLooksCompressed,
// ErrText, a *LimitError, or of the file system (errors.Is ENOSPC, EDQUOT: it is full). After ErrFailed the transaction has
// to be aborted.
func (a *Appender) Save(m NewMessage, body io.Reader) (Stored, error) {
	if err := a.usable(); err != nil {
		return Stored{}, err
	}
	d := newDraft()
	defer d.release()
	var temp *target
	d.spill = func() (f vfs.WritableFile, at uint64, err error) {
		if temp, err = a.create(); err != nil {
			return nil, 0, err
		}
		return temp.f, temp.end, nil
	}
	st, err := a.files.write(d, &m, body)
	if err == nil {
		st.Index, err = a.place(d, temp)
	}
	if err != nil {
		if temp != nil {
			err = errors.Join(err, temp.undo(a.files.cfg.FS))
		}
		return Stored{}, err
	}
	st.Offset = uint32(a.targets[st.Index].end - uint64(st.Size))
	return st, nil
}

// place puts a finished message into a file of the transaction, whose index it returns. temp is the file that it is in,
// if it has one: after success that is used or gone.
func (a *Appender) place(d *draft, temp *target) (int, error) {
	size := d.len()
	if temp == nil {
		return a.append(size, func(t *target) error {
			d.f, d.at = t.f, t.end
			return d.flush()
		})
	}
	i, err := a.find(size)
	if err != nil {
		return 0, err
	}
	if i < 0 {
		temp.end += size
		a.targets = append(a.targets, temp)
		return len(a.targets) - 1, nil
	}
	err = a.appendTo(i, size, func(t *target) error {
		return copyMessage(t, temp.f, temp.end+messageHeaderSize, temp.end+size, d.body)
	})
	if err != nil {
		return 0, err
	}
	_ = temp.undo(a.files.cfg.FS) // the message is saved; Dovecot removes old temporary files
	return i, nil
}

// append lets write append a message of size bytes to a file of the transaction, whose index it returns.
func (a *Appender) append(size uint64, write func(t *target) error) (int, error) {
	i, err := a.find(size)
	if err != nil {
		return 0, err
	}
	if i < 0 {
		t, err := a.create()
		if err != nil {
			return 0, err
		}
		a.targets = append(a.targets, t)
		i = len(a.targets) - 1
	}
	return i, a.appendTo(i, size, write)
}

// appendTo is append to the target with index i. After an error the file is as before; one without messages is removed.
func (a *Appender) appendTo(i int, size uint64, write func(t *target) error) error {
	t := a.targets[i]
	var err error
	if !t.isNew && !t.noted { // a new file is known to nobody
		err = a.noteOf(t, t.id)
	}
	if err == nil {
		err = write(t)
	}
	if err == nil {
		t.end += size
		t.synced = false
		return nil
	}
	if t.isNew && t.end == t.old {
		a.targets = a.targets[:i]
		return errors.Join(err, t.undo(a.files.cfg.FS))
	}
	if undo := t.truncate(); undo != nil {
		a.err = undo
		err = errors.Join(err, ErrFailed, undo)
	}
	return err
}

// noteOf notes that the file with the number id gets messages.
func (a *Appender) noteOf(t *target, id FileID) (err error) {
	if a.note == nil {
		if a.note, err = a.files.newNote(a.dir()); err != nil {
			return err
		}
	}
	if err = a.note.add(Candidate{id, t.old}); err == nil {
		t.noted = true
	}
	return err
}

func (a *Appender) usable() error {
	switch {
	case a.done:
		return ErrClosed
	case a.alt && a.files.cfg.AltDir == "":
		return errors.New("dbox: there is no ALT storage")
	case a.err != nil:
		return fmt.Errorf("%w: %w", ErrFailed, a.err)
	}
	return nil
}

// NewFiles returns how many numbers Name needs.
func (a *Appender) NewFiles() int {
	n := 0
	for _, t := range a.targets {
		if t.isNew {
			n++
		}
	}
	return n
}

// FileID returns the file of a message that was saved; 0 if it has no number yet, before Name.
func (a *Appender) FileID(s Stored) FileID { return a.targets[s.Index].id }

// Sync makes the messages durable (fdatasync), to be done before MAP is locked.
func (a *Appender) Sync() error {
	if err := a.usable(); err != nil {
		return err
	}
	for _, t := range a.targets {
		if t.f == nil {
			continue // was synced when it was closed
		}
		if err := t.sync(); err != nil {
			return fmt.Errorf("dbox: %w", err)
		}
	}
	return nil
}

// ErrFileExists says that a number that should be free is taken: highest_file_id of the map is wrong.
var ErrFileExists = errors.New("dbox: mail file with a new number exists")

// ErrReplaced says that a mail file is not where it was when the transaction began: a repair has written it anew.
var ErrReplaced = errors.New("dbox: mail file was replaced during the transaction")

// Name gives the new files the numbers from first on, in the order of their Stored.Index, and makes sure that the
// others are still in their places: the lock of a file does not keep a repair away, MAP does, which is locked. The error is
// then ErrReplaced. The names are durable when it returns, if the messages are.
func (a *Appender) Name(first FileID) error {
	if err := a.usable(); err != nil {
		return err
	}
	id, synced := first, false
	for _, t := range a.targets {
		if !t.isNew {
			if err := t.inPlace(a.files.cfg.FS); err != nil {
				return err
			}
			continue
		}
		if t.id != 0 {
			continue
		}
		if id == 0 {
			return errors.New("dbox: file numbers are used up")
		}
		path, err := a.files.free(id, a.alt)
		if err != nil {
			return err
		}
		if err := a.noteOf(t, id); err != nil {
			return err
		}
		if err := a.files.cfg.FS.Rename(t.path, path); err != nil {
			return fmt.Errorf("dbox: name mail file: %w", err)
		}
		t.path, t.id = path, id
		synced = synced || t.synced
		id++
	}
	if !synced {
		return nil
	}
	if err := a.files.cfg.FS.SyncDir(a.dir()); err != nil {
		return fmt.Errorf("dbox: name mail file: %w", err)
	}
	return nil
}

// free returns the path for a new m.<id>, and ErrFileExists if there is such a file in either storage.
func (s *Files) free(id FileID, alt bool) (string, error) {
	paths := []string{s.Path(id)}
	if s.cfg.AltDir != "" {
		paths = append(paths, s.altPath(id))
	}
	for _, p := range paths {
		_, err := s.cfg.FS.Stat(p)
		if err == nil {
			return "", fmt.Errorf("%s: %w", p, ErrFileExists)
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return "", fmt.Errorf("dbox: name mail file: %w", err)
		}
	}
	if alt {
		return s.altPath(id), nil
	}
	return s.Path(id), nil
}

// dir returns where new files are made.
func (a *Appender) dir() string {
	if a.alt {
		return a.files.cfg.AltDir
	}
	return a.files.cfg.StorageDir
}

// Release ends the transaction: the messages stay, the locks are released.
func (a *Appender) Release() error {
	if a.done {
		return nil
	}
	a.done = true
	var err error
	for _, t := range a.targets {
		err = errors.Join(err, t.close())
	}
	if a.note != nil {
		err = errors.Join(err, a.note.end(a.files))
	}
	return err
}

// Abort ends the transaction: files get their old ends, new ones are removed, the locks are released. It does nothing
// after Release.
func (a *Appender) Abort() error {
	if a.done {
		return nil
	}
	a.done = true
	var err error
	for _, t := range a.targets {
		err = errors.Join(err, t.undo(a.files.cfg.FS))
	}
	switch {
	case a.note == nil:
	case err != nil: // the note says what is still to be done
		err = errors.Join(err, a.note.f.Close())
	default:
		err = a.note.remove(a.files)
	}
	return err
}
