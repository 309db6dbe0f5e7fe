package mdbox

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/roostmail/roost/mdbox/filedict"
	"github.com/roostmail/roost/mdbox/mailboxlist"
	"github.com/roostmail/roost/mdbox/translog"
	"github.com/roostmail/roost/mdbox/vfs"
)

// ServerAttributes begins the names of INBOX's annotations that are those of the server (dovecot
// src/lib-storage/mailbox-attribute.h, MAILBOX_ATTRIBUTE_PREFIX_DOVECOT_PVT_SERVER).
const ServerAttributes = "vendor/vendor.dovecot/pvt/server/"

var (
	// ErrNoAttributes says that annotations are not configured (Options.Attributes).
	ErrNoAttributes = errors.New("mailbox attributes are not configured")
	// ErrTooManyAttributes says that a mailbox would have more annotations than it may have.
	ErrTooManyAttributes = errors.New("too many mailbox attributes")
)

// AttributeKey names an annotation of a mailbox (RFC 5464). In the file it is
// "priv/" or "shared/", the GUID of the mailbox in hexadecimal digits, "/" and the name.
type AttributeKey struct {
	Shared bool   // false: private
	Name   string // what stands behind "/private/" or "/shared/"; not empty, or Dovecot takes its own log for damaged
}

// Attributes are the annotations of all mailboxes of a user at one moment.
type Attributes struct {
	byMailbox map[string]map[AttributeKey]string
}

// Of returns the annotations of the mailbox with a GUID. The map is not to be changed.
func (a *Attributes) Of(guid [16]byte) map[AttributeKey]string {
	return a.byMailbox[hex.EncodeToString(guid[:])]
}

// Having returns how many mailboxes have an annotation.
func (a *Attributes) Having(key AttributeKey) (n int) {
	for _, list := range a.byMailbox {
		if _, ok := list[key]; ok {
			n++
		}
	}
	return n
}

// Attributes reads the annotations of all mailboxes. The error is ErrNoAttributes, or vfs.ErrTooLarge.
func (s *Store) Attributes() (*Attributes, error) {
	f, err := s.attributesFile()
	if err != nil {
		return nil, err
	}
	d, err := f.Read()
	if err != nil {
		return nil, fmt.Errorf("mdbox: read attributes: %w", err)
	}
	a := &Attributes{byMailbox: map[string]map[AttributeKey]string{}}
	for line, value := range d.All {
		guid, key, ok := parseAttributeKey(line)
		if !ok {
			continue // not ours
		}
		if a.byMailbox[guid] == nil {
			a.byMailbox[guid] = map[AttributeKey]string{}
		}
		a.byMailbox[guid][key] = value
	}
	return a, nil
}

func (s *Store) attributesFile() (*filedict.File, error) {
	if s.options.Attributes == "" {
		return nil, ErrNoAttributes
	}
	f := &filedict.File{FS: s.options.FS, Path: s.options.Attributes, Locks: s.locks, Perm: vfs.Private}
	if s.options.Write == nil {
		return f, nil
	}
	f.Fsync = s.durable()
	st, err := s.options.FS.Stat(filepath.Dir(f.Path))
	if errors.Is(err, fs.ErrNotExist) {
		return f, nil
	}
	if err != nil {
		return nil, fmt.Errorf("mdbox: read attributes: %w", err)
	}
	f.Perm = mailboxlist.PermissionsOf(st).File
	return f, nil
}

// line returns the key in the file.
func (k AttributeKey) line(guid string) string {
	kind := "priv/"
	if k.Shared {
		kind = "shared/"
	}
	return kind + guid + "/" + k.Name
}

func parseAttributeKey(line string) (guid string, key AttributeKey, ok bool) {
	kind, rest, _ := strings.Cut(line, "/")
	guid, key.Name, ok = strings.Cut(rest, "/")
	key.Shared = kind == "shared"
	return guid, key, ok && (key.Shared || kind == "priv")
}

// AttributeChange gives an annotation a value, or removes it.
type AttributeChange struct {
	Key    AttributeKey
	Value  string // without NUL, which Dovecot could not read
	Remove bool
}

// SetAttributes changes annotations of the mailbox, all of them or none: in the file of annotations, and then in the mailbox's log, which
// only tells that they changed and so gives the mailbox another modseq (dovecot index-attribute.c). most limits how many the mailbox may have
// afterwards, 0 = any number. Errors: ErrTooManyAttributes, ErrNoAttributes, ErrReadOnly, filelock.ErrTimeout, vfs.ErrTooLarge.
func (b *Mailbox) SetAttributes(ctx context.Context, changes []AttributeChange, most int) error {
	if _, err := b.writing(); err != nil {
		return err
	}
	f, err := b.store.attributesFile()
	if err != nil {
		return err
	}
	b.mu.Lock()
	s, err := b.refresh()
	var raw [16]byte
	if err == nil {
		raw = b.guid(s)
	}
	b.mu.Unlock()
	if err != nil {
		return err
	}
	if raw == [16]byte{} {
		return fmt.Errorf("mdbox: mailbox %s has no GUID for its attributes", b.name)
	}
	if _, err := b.store.options.FS.Stat(filepath.Dir(f.Path)); errors.Is(err, fs.ErrNotExist) {
		if _, err := mailboxlist.DefaultPermissions.Mkdir(b.store.options.FS, filepath.Dir(f.Path)); err != nil && !errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("mdbox: make directory of attributes: %w", err)
		}
	}
	guid := hex.EncodeToString(raw[:])
	err = f.Update(ctx, func(d *filedict.Dict) (bool, error) { return true, changeAttributes(d, guid, changes, most) })
	if err != nil {
		return fmt.Errorf("mdbox: change attributes of %s: %w", b.name, err)
	}
	if err := b.noteAttributes(ctx, raw, changes); err != nil { // the change itself is made
		b.store.report("tell of changed attributes of "+b.name, err)
	}
	return nil
}

func changeAttributes(d *filedict.Dict, guid string, changes []AttributeChange, most int) error {
	added := false
	for _, c := range changes {
		line := c.Key.line(guid)
		_, had := d.Get(line)
		switch {
		case !c.Remove:
			added = added || !had
			d.Set(line, c.Value)
		case had:
			d.Delete(func(key string) bool { return key == line })
		}
	}
	if !added || most == 0 {
		return nil
	}
	n := 0
	for line := range d.All {
		if of, _, ok := parseAttributeKey(line); ok && of == guid {
			n++
		}
	}
	if n > most {
		return ErrTooManyAttributes
	}
	return nil
}

// noteAttributes writes into the mailbox's log that annotations have changed.
func (b *Mailbox) noteAttributes(ctx context.Context, guid [16]byte, changes []AttributeChange) error {
	l, err := b.lock(ctx, guid)
	if err != nil {
		return err
	}
	defer l.unlock()
	updates := make(translog.AttributeUpdates, len(changes))
	for i, c := range changes {
		updates[i] = translog.AttributeUpdate{Removed: c.Remove, Shared: c.Key.Shared, Name: c.Key.Name, Timestamp: uint32(b.store.now().Unix())}
		if !c.Remove {
			updates[i].Length = uint32(len(c.Value))
		}
	}
	if err := l.x.Commit(false, external(updates)); err != nil {
		return err
	}
	l.finish()
	return nil
}

// forgetAttributes removes the annotations of a mailbox that was deleted.
func (s *Store) forgetAttributes(ctx context.Context, guid [16]byte) {
	f, err := s.attributesFile()
	if errors.Is(err, ErrNoAttributes) || guid == [16]byte{} {
		return
	}
	if err == nil {
		if _, err = s.options.FS.Stat(f.Path); errors.Is(err, fs.ErrNotExist) {
			return
		}
	}
	if err == nil {
		err = f.Update(ctx, func(d *filedict.Dict) (bool, error) {
			return d.Delete(func(line string) bool {
				of, _, ok := parseAttributeKey(line)
				return ok && of == hex.EncodeToString(guid[:])
			}), nil
		})
	}
	s.report("remove the attributes of a deleted mailbox", err)
}
