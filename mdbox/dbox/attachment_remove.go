package dbox

import (
	"errors"
	"io/fs"
	"path/filepath"
	"strings"
)

// hashesDir is the directory, beside attachments, in which single-instance storage has another name of each: its hash, by which it finds
// one that is to be stored once more.
const hashesDir = "hashes"

// RemoveAttachment removes the attachment with a path (Attachment.Path), and with its last name but that by its hash also that, which keeps
// the space; and the directories that are empty then. One that is not there is no error. Without Config.AttachmentDir it does nothing.
//
// Source: dovecot src/lib-fs/fs-sis.c, fs_sis_try_unlink_hash_file.
func (s *Files) RemoveAttachment(path string) error {
	if s.cfg.AttachmentDir == "" {
		return nil
	}
	path = filepath.Join(s.cfg.AttachmentDir, path)
	dir, name := filepath.Split(path)
	hash, _, _ := strings.Cut(name, "-")
	byHash := filepath.Join(dir, hashesDir, hash)
	st, err := s.cfg.FS.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil && st.Links == 2 {
		if other, err := s.cfg.FS.Stat(byHash); err == nil && other.SameFile(st) {
			if err := s.remove(byHash); err != nil {
				return err
			}
		}
	}
	if err := s.remove(path); err != nil {
		return err
	}
	_ = s.cfg.FS.Remove(filepath.Dir(byHash)) // if it is empty, as those above: who needs them makes them
	for d := filepath.Clean(dir); d != filepath.Clean(s.cfg.AttachmentDir) && s.cfg.FS.Remove(d) == nil; {
		d = filepath.Dir(d)
	}
	return nil
}
