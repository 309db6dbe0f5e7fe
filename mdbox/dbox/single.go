package dbox

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"

	"github.com/roostmail/roost/mdbox/vfs"
)

// Single is a new file with one message, as sdbox has them (spec sdbox-maildir.md §1): it is written under a temporary
// name, and gets the name u.<UID> when the UID is known. Config.StorageDir is the directory of the mailbox,
// Config.Prefix "u.". It is for one goroutine at a time.
type Single struct {
	Stored
	files *Files
	t     target
}

// SaveSingle writes a message to a file of its own and makes it durable if durable is set. m.Mailbox is left empty. Errors
// are those of Appender.Save; then there is no file.
func (s *Files) SaveSingle(m NewMessage, body io.Reader, durable bool) (*Single, error) {
	n := &Single{files: s, t: target{isNew: true}}
	d := newDraft()
	defer d.release()
	d.spill = func() (f vfs.WritableFile, first uint64, err error) {
		if f, first, err = s.createTemp(s.cfg.StorageDir); err == nil {
			n.t.f, n.t.path, n.t.end = f, f.Name(), first
		}
		return f, first, err
	}
	var err error
	if n.Stored, err = s.write(d, &m, body); err == nil {
		err = d.flush()
	}
	if err == nil && durable {
		err = n.t.sync()
	}
	if err == nil {
		n.Offset = uint32(n.t.end)
		return n, n.t.close()
	}
	if n.t.f != nil {
		err = errors.Join(err, n.t.undo(s.cfg.FS))
	}
	return nil, err
}

// errAttachments refuses to share a file.
var errAttachments = errors.New("dbox: message has attachments in files, which would have to be copied as well")

// LinkSingle makes a copy of the message u.<id> of src: a second name for its file. src may be s. The error is one
// of Link; on another file system, when there are too many names (EMLINK), or for a message with attachments in files, the caller saves
// the text instead.
func (s *Files) LinkSingle(src *Files, id FileID) (*Single, error) {
	m, err := src.Open(Ref{File: id})
	if err != nil {
		return nil, err
	}
	defer m.Close()
	if len(m.Attachments()) > 0 {
		return nil, errAttachments
	}
	n := &Single{files: s, t: target{path: filepath.Join(s.cfg.StorageDir, s.tempName()), isNew: true}}
	n.Offset, n.Size = m.ref.Offset, uint32(m.metaOff+int64(m.metaSize)-int64(m.ref.Offset))
	n.Physical, n.GUID = m.physical, ParseGUID(m.GUID())
	if n.Virtual, err = m.VirtualSize(); err != nil {
		return nil, err
	}
	if err := s.cfg.FS.Link(m.file.Name(), n.t.path); err != nil {
		return nil, fmt.Errorf("dbox: copy mail file: %w", err)
	}
	return n, nil
}

// Name gives the file its name. The mailbox is locked. The error is ErrFileExists if there is such a file. The caller makes
// the names of all its files durable with SyncDir.
func (n *Single) Name(id FileID) error {
	path, err := n.files.free(id, false)
	if err != nil {
		return err
	}
	if err := n.files.cfg.FS.Rename(n.t.path, path); err != nil {
		return fmt.Errorf("dbox: name mail file: %w", err)
	}
	n.t.path, n.t.id = path, id
	return nil
}

// Abort removes the file, also after Name.
func (n *Single) Abort() error { return n.t.undo(n.files.cfg.FS) }

// SyncDir makes the names of new files durable.
func (s *Files) SyncDir() error { return s.cfg.FS.SyncDir(s.cfg.StorageDir) }

// Exists reports whether there is a file u.<id>, in primary or ALT storage.
func (s *Files) Exists(id FileID) (bool, error) {
	_, err := s.free(id, false)
	if errors.Is(err, ErrFileExists) {
		return true, nil
	}
	return false, err
}

// Remove removes u.<id> from primary and ALT storage, and then its attachments. A file that is not there is no error: somebody else was
// faster.
func (s *Files) Remove(id FileID) error {
	attachments := s.attachmentsOf(id)
	err := s.remove(s.Path(id))
	if s.cfg.AltDir != "" {
		err = errors.Join(err, s.remove(s.altPath(id)))
	}
	for _, path := range attachments {
		err = errors.Join(err, s.RemoveAttachment(path))
	}
	return err
}

// attachmentsOf returns the paths of the attachments that are u.<id>'s alone. Those of a damaged message stay.
func (s *Files) attachmentsOf(id FileID) (paths []string) {
	if s.cfg.AttachmentDir == "" || s.cfg.AttachmentSuffix == nil {
		return nil
	}
	m, err := s.Open(Ref{File: id})
	if err != nil {
		return nil
	}
	defer s.CloseIdle()
	defer m.Close()
	for _, a := range m.Attachments() {
		paths = append(paths, a.Path)
	}
	return paths
}

func (s *Files) remove(path string) error {
	if err := s.cfg.FS.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("dbox: remove mail file: %w", err)
	}
	return nil
}
