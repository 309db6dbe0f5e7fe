package cache

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/roostmail/roost/mdbox/vfs"
)

// tempSuffix is that of a file that is being written. It takes the log lock to write one, so there is only one writer.
const tempSuffix = ".tmp"

// Create writes a cache file with fields and no records, in place of what is at path, and returns its file_seq. The
// caller holds the log lock, and commits after it, in an external transaction, ext-intro of `cache` with the old
// reset_id and ext-reset to the file_seq. A file without that is stale, and replaced by the next one who wants to write.
//
// fields are those of Policy.Initial, or for a new mailbox those of INBOX (InheritFields).
func (c *WriteConfig) Create(path string, id Identity, fields []Field) (fileSeq uint32, err error) {
	fileSeq = c.nextSeq(id.ResetID, 0)
	n, err := c.newFile(path, Header{MinorVersion: 1, IndexID: id.IndexID, FileSeq: fileSeq})
	if err != nil {
		return 0, err
	}
	return fileSeq, n.finish(fields)
}

// InheritFields returns the fields of a new mailbox's file, with the decisions of another one, mostly INBOX, whose
// fields are given (dovecot src/lib-index/mail-cache-decisions.c, mail_cache_decisions_copy).
func (p *Policy) InheritFields(from []Field) []Field {
	fields := p.Initial()
	for i := range from {
		n := fieldIndex(fields, from[i].Name)
		if n < 0 {
			n = len(fields)
			fields = append(fields, from[i])
			fields[n].Decision = 0
		}
		f := &fields[n]
		f.Decision = max(f.Decision, from[i].Decision&^DecisionForced)
		f.LastUsed = from[i].LastUsed
		if d, ok := p.forced(f.Name); ok {
			f.Decision = d
		}
	}
	return fields
}

// nextSeq returns the file_seq of a new file: behind that of the index and of the old file, and never 0.
func (c *WriteConfig) nextSeq(resetID, oldSeq uint32) uint32 {
	seq := resetID + 1
	if resetID == 0 {
		seq = c.now()
	}
	if seq <= oldSeq {
		seq = oldSeq + 1
	}
	return max(seq, 1)
}

// newFile is a cache file that is being written under its temporary name.
type newFile struct {
	cfg    *WriteConfig
	path   string
	file   vfs.WritableFile
	header Header
	buf    []byte
	size   int64 // with buf
}

const newFileBuffer = 256 << 10

// newFile starts a file that finish gives its name.
func (c *WriteConfig) newFile(path string, h Header) (*newFile, error) {
	temp := path + tempSuffix
	if err := c.FS.Remove(temp); err != nil && !errors.Is(err, fs.ErrNotExist) { // left by one who was killed
		return nil, err
	}
	perm, err := c.perm()
	if err != nil {
		return nil, err
	}
	f, err := perm.Create(c.FS, temp, 0)
	if err != nil {
		return nil, err
	}
	n := &newFile{cfg: c, path: path, file: f, header: h}
	n.buf = h.Append(n.buf)
	n.size = HeaderSize
	return n, nil
}

// write appends b to the file.
func (n *newFile) write(b []byte) error {
	n.buf = append(n.buf, b...)
	n.size += int64(len(b))
	if len(n.buf) < newFileBuffer {
		return nil
	}
	return n.flush()
}

func (n *newFile) flush() error {
	_, err := n.file.Write(n.buf)
	n.buf = n.buf[:0]
	return err
}

// finish writes the field table and the header, and puts the file in its place. After an error there is no trace of it.
func (n *newFile) finish(fields []Field) error {
	n.header.FirstTable = uint32(n.size)
	err := n.write(FieldTable{Fields: fields}.Append(nil))
	if err == nil {
		err = n.flush()
	}
	if err == nil {
		n.header.UsedFileSize = uint32(n.size)
		_, err = n.file.WriteAt(n.header.Append(nil), 0)
	}
	if err == nil && n.cfg.Sync {
		err = n.file.Sync()
	}
	if err == nil {
		err = n.cfg.FS.Rename(n.path+tempSuffix, n.path)
	}
	if err != nil {
		return n.abort(err)
	}
	return n.file.Close()
}

// abort removes the file, and returns what was wrong.
func (n *newFile) abort(err error) error {
	err = fmt.Errorf("cache: %s: write: %w", n.path+tempSuffix, err)
	return errors.Join(err, n.file.Close(), n.cfg.FS.Remove(n.path+tempSuffix))
}
