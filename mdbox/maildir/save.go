package maildir

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/roostmail/roost/mdbox/dbox"
	"github.com/roostmail/roost/mdbox/index"
	"github.com/roostmail/roost/mdbox/translog"
	"github.com/roostmail/roost/mdbox/vfs"
)

// Draft is a message that is written, in tmp/, and is to come into a mailbox with Locked.Place.
type Draft struct {
	Physical, Virtual uint64 // size of the file, and with CRLF line ends; of a copy 0 if its name does not say it
	Flags             uint8
	Keywords          []string

	m      *Mailbox
	linked bool // base may be that of another message
	base   string
	ext    []string // fields of its line in dovecot-uidlist
	path   string   // where it is now
	file   string   // where it is to be: "cur/<name>"
}

// GUID returns the GUID of the message, as a string. It is only final when the message was placed.
func (d *Draft) GUID() string { return (&Entry{Base: d.base, Ext: d.ext}).GUID() }

// SetGUID gives a message that is not placed yet the GUID of another one. There must be no white space in it.
func (d *Draft) SetGUID(guid string) { d.ext = []string{"G" + guid} }

// saveBuffer is how much of a message is converted and written at once, in bytes.
const saveBuffer = 64 << 10

// maxReceived is the last INTERNALDATE that the time of a file can be: UNIX time, in 2262.
const maxReceived int64 = math.MaxInt64 / 1_000_000_000

// Save writes a message into tmp/, durably: its text with CRLF or LF line ends, read to its end, and to tee as it is stored; nil: to nothing else.
// received is INTERNALDATE, UNIX time.
// After an error there is no file. Errors are those of body and of the file system, dbox.ErrLooksCompressed, and a *dbox.LimitError.
func (m *Mailbox) Save(received int64, body io.Reader, tee io.Writer) (*Draft, error) {
	base := newBase(m.c.now())
	d := &Draft{m: m, path: filepath.Join(m.path(dirTmp), base)}
	f, err := m.perm.Create(m.c.fs(), d.path, 0)
	if err != nil {
		return nil, fmt.Errorf("maildir: save: %w", deletedError(err))
	}
	err = d.write(f, body, tee)
	if err == nil {
		err = f.SetMtime(min(max(received, 0), maxReceived) * 1e9)
	}
	if err == nil {
		err = m.sync(f)
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, errors.Join(fmt.Errorf("maildir: save: %w", err), d.Abort())
	}
	d.base = withSizes(base, d.Physical, d.Virtual)
	return d, nil
}

func (d *Draft) write(f vfs.WritableFile, body io.Reader, tee io.Writer) error {
	c := lineEnds{crlf: d.m.c.SaveCRLF}
	in, out := make([]byte, saveBuffer), make([]byte, 0, saveBuffer)
	for {
		n, err := body.Read(in)
		out = c.append(out, in[:n])
		if err == io.EOF {
			out = c.end(out)
		}
		if len(out) >= saveBuffer || err == io.EOF {
			if err := d.check(&c, out); err != nil {
				return err
			}
			if err := writeAll(f, out); err != nil {
				return err
			}
			if tee != nil {
				if _, err := tee.Write(out); err != nil {
					return err
				}
			}
			out = out[:0]
		}
		if err == io.EOF {
			d.Physical, d.Virtual = c.physical, c.virtual
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// check refuses a text, of which out is to be written next, that is too large, or that readers would take for a compressed one.
func (d *Draft) check(c *lineEnds, out []byte) error {
	const magic = 16 // bytes that tell of compression
	first := c.physical == uint64(len(out))
	if first && dbox.DetectCompression(out[:min(len(out), magic)]) != dbox.Uncompressed {
		return dbox.ErrLooksCompressed
	}
	if limit := d.m.c.maxMessageSize(); c.physical > limit {
		return &dbox.LimitError{Setting: "MaxMessageSize", Limit: limit}
	}
	return nil
}

// ErrNoLink says that a message can not be copied as another name of its file: its text must be saved.
var ErrNoLink = errors.New("maildir: the file can not have another name there")

// Link makes a copy of a message of src: another name for its file, in tmp/. Errors: ErrNoLink, fs.ErrNotExist if the message has no
// file.
func (m *Mailbox) Link(src *Mailbox, uid uint32) (*Draft, error) {
	d := &Draft{m: m, linked: true, path: filepath.Join(m.path(dirTmp), newBase(m.c.now()))}
	err := src.at(uid, func(e Entry, path string) error {
		d.base = e.Base
		if guid := e.GUID(); guid != e.Base {
			d.ext = []string{"G" + guid}
		}
		return m.c.fs().Link(path, d.path)
	})
	switch {
	case err == nil:
	case errors.Is(err, unix.EXDEV), errors.Is(err, unix.EMLINK), errors.Is(err, fs.ErrPermission), errors.Is(err, fs.ErrExist), errors.Is(err, unix.EOPNOTSUPP):
		return nil, fmt.Errorf("%w: %w", ErrNoLink, err)
	default:
		return nil, fmt.Errorf("maildir: copy: %w", err)
	}
	physical, virtual := Sizes(d.base)
	d.Physical, d.Virtual = uint64(max(physical, 0)), uint64(max(virtual, 0))
	return d, nil
}

// Abort removes the message, also after Place.
func (d *Draft) Abort() error {
	if err := d.m.c.fs().Remove(d.path); err != nil && !isMissing(err) {
		return fmt.Errorf("maildir: remove: %w", err)
	}
	return nil
}

// Place gives messages their UIDs and names in cur/: the first gets the UID first, the others follow. Both are durable on return. The
// mailbox was synced under the same lock. The caller then commits the messages to the index, together with HeaderRecords; if it does
// not, it must Abort them.
//
// After an error the messages are not in the mailbox. Their UIDs may be used up.
func (l *Locked) Place(drafts []*Draft) (first uint32, err error) {
	m := l.m
	m.mu.Lock()
	defer m.mu.Unlock()
	if l.failed != nil {
		return 0, l.failed
	}
	if m.list == nil {
		return 0, fmt.Errorf("maildir: save in %s: %w", m.dirs.Mail, errNotSynced)
	}
	if first, err = l.place(drafts); err != nil {
		for _, d := range drafts {
			err = errors.Join(err, d.Abort())
		}
		return 0, l.fail("save in", err)
	}
	return first, nil
}

var errNotSynced = errors.New("the mailbox has not been synced")

func (l *Locked) place(drafts []*Draft) (first uint32, err error) {
	m := l.m
	if m.files == nil {
		found, err := m.scan()
		if err != nil {
			return 0, err
		}
		m.files = found.files
	}
	var names []string
	for _, d := range drafts {
		names = append(names, d.Keywords...)
	}
	if err := l.addKeywords(names, m.files); err != nil {
		return 0, err
	}
	if uint64(m.list.NextUID)+uint64(len(drafts)) > maxUID {
		return 0, errUIDs
	}
	first = m.list.NextUID
	before := len(m.list.Entries)
	var taken map[string]bool // bases; nil: not needed yet
	for _, d := range drafts {
		if d.linked && taken == nil {
			taken = m.list.bases()
		}
		l.name(d, taken)
	}
	if err := l.move(drafts); err != nil {
		return 0, err
	}
	if err := m.syncDir(m.path(dirCur)); err != nil {
		return 0, err
	}
	if m.list.Outdated {
		return first, l.rewriteList()
	}
	return first, l.appendList(before)
}

// name gives a message the name that it is to have in cur/, and the next UID.
func (l *Locked) name(d *Draft, taken map[string]bool) {
	m := l.m
	if _, exists := m.files[d.base]; exists || taken[d.base] {
		if len(d.ext) == 0 { // the GUID stays
			d.ext = []string{"G" + d.base}
		}
		physical, virtual := Sizes(d.base)
		d.base = newBase(m.c.now())
		if physical >= 0 && virtual >= 0 {
			d.base = withSizes(d.base, uint64(physical), uint64(virtual))
		}
	}
	var letters Letters
	for _, name := range d.Keywords {
		letters |= l.keywords.Letter(name)
	}
	d.file = dirCur + "/" + WithFlags(d.base, d.Flags&flagsMask, letters)
	m.files[d.base] = d.file
	if taken != nil {
		taken[d.base] = true
	}
	m.list.Entries = append(m.list.Entries, Entry{UID: m.list.NextUID, Base: d.base, Ext: d.ext})
	m.list.NextUID++
}

// move moves messages from tmp/ to cur/: all of them, unless it fails.
func (l *Locked) move(drafts []*Draft) (err error) {
	if len(drafts) > 1 {
		if err := l.noteMoves(drafts); err != nil {
			return errors.Join(err, l.forgetMoves())
		}
		defer func() { err = errors.Join(err, l.forgetMoves()) }()
	}
	for _, d := range drafts {
		if err := l.touch(); err != nil {
			return err
		}
		to := l.m.path(d.file)
		if err := l.m.c.fs().Rename(d.path, to); err != nil {
			return err
		}
		d.path = to
	}
	return nil
}

// HeaderRecords returns the records that note in the index what Place has changed.
func (l *Locked) HeaderRecords(x *index.Locked) ([]translog.NewRecord, error) {
	m := l.m
	m.mu.Lock()
	defer m.mu.Unlock()
	h, _, err := m.stamps(x.State())
	if err != nil {
		return nil, fmt.Errorf("maildir: %w", err)
	}
	st, err := m.c.fs().Stat(m.path(dirCur))
	if err != nil {
		return nil, fmt.Errorf("maildir: %w", err)
	}
	h.Cur.changed(st)
	s := &syncing{l: l, x: x, header: h}
	return s.headerRecords(), nil
}
