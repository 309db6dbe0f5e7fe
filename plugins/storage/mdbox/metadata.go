package mdbox

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/mdbox"
	"github.com/roostmail/roost/mdbox/acl"
)

var _ backend.Metadata = (*Storage)(nil)

// errAttributeDict says what mail_attribute_dict may be.
var errAttributeDict = errors.New(`only a file can hold attributes: "file:PATH"`)

// parseAttributeDict returns the path of a mail_attribute_dict, whose variables are not replaced yet. (dovecot src/lib-dict/dict-file.c)
func parseAttributeDict(uri string) (path string, err error) {
	path, isFile := strings.CutPrefix(uri, "file:")
	if !isFile || path == "" {
		return "", errAttributeDict
	}
	if i := strings.LastIndexByte(path, ':'); i >= 0 && strings.HasPrefix(path[i:], ":lock=") {
		return "", fmt.Errorf("%s: only Dovecot's default, a file beside it, is supported", path[i+1:])
	}
	return path, nil
}

// specialUseEntry has the special use of a mailbox (RFC 6154 §4).
const specialUseEntry = "/private/specialuse"

// hiddenAttributes begins the names of annotations that are for programs only (dovecot MAILBOX_ATTRIBUTE_PREFIX_DOVECOT_PVT).
const hiddenAttributes = "vendor/vendor.dovecot/pvt/"

// keysMetadata reports whether annotations are configured.
func (s *Storage) keepsMetadata() error {
	if s.settings.attributes == "" {
		return backend.Errorf(backend.KindUnsupported, "Annotations are not configured (mail_attribute_dict)")
	}
	return nil
}

// GetMetadata implements backend.Metadata.
func (s *Storage) GetMetadata(ctx context.Context, u *backend.User, namespace string, names []string, q backend.MetadataQuery) ([]backend.MailboxMetadata, error) {
	if err := s.usable(ctx); err != nil {
		return nil, err
	}
	if err := s.keepsMetadata(); err != nil {
		return nil, err
	}
	ns, p, err := s.locate(u, namespace)
	if err != nil {
		return nil, err
	}
	store, release, err := s.stores.store(p)
	if err != nil {
		return nil, toBackend(err)
	}
	all, err := store.Attributes()
	release()
	if err != nil {
		return nil, toBackend(err)
	}
	out := make([]backend.MailboxMetadata, len(names))
	for i, name := range names {
		if err := ctx.Err(); err != nil {
			return nil, toBackend(err)
		}
		err := s.allowMetadata(backend.MailboxRef{User: u, Namespace: namespace, Name: name})
		var st mdbox.Status
		if err == nil {
			st, err = s.status(p, mailboxOfMetadata(name), 0)
		}
		if err != nil {
			out[i].Err = toBackend(err)
			continue
		}
		out[i].Entries = entriesOf(all.Of(st.GUID), name == "", &q)
		if special := ns.specialUse(name); special != "" && q.Wants(specialUseEntry) {
			out[i].Entries = addSpecialUse(out[i].Entries, special)
		}
	}
	return out, nil
}

// metadataRights are the rights of which any one is needed, beside that to look the mailbox up, to read and to write annotations (RFC 5464 §3.3).
const metadataRights = acl.Read | acl.WriteSeen | acl.Write | acl.Insert | acl.Post

// allowMetadata refuses who may not use the annotations of a mailbox. Those of the server everybody may use.
func (s *Storage) allowMetadata(ref backend.MailboxRef) error {
	if ref.Name == "" {
		return nil
	}
	if err := s.allow(ref, acl.Lookup); err != nil {
		return err
	}
	return s.allow(ref, metadataRights)
}

// mailboxOfMetadata returns the mailbox in which the annotations of a name are: the server's are in INBOX.
func mailboxOfMetadata(name string) string {
	if name == "" {
		return "INBOX"
	}
	return name
}

// entriesOf returns what is asked for of the annotations of a mailbox, or of the server's among those of INBOX.
func entriesOf(attributes map[mdbox.AttributeKey]string, server bool, q *backend.MetadataQuery) (entries []backend.MetadataEntry) {
	for key, value := range attributes {
		name, isServer := strings.CutPrefix(key.Name, mdbox.ServerAttributes)
		if isServer != server || !server && strings.HasPrefix(name, hiddenAttributes) || name == "" {
			continue
		}
		if key.Shared {
			name = "/shared/" + name
		} else {
			name = "/private/" + name
		}
		if q.Wants(name) {
			entries = append(entries, backend.MetadataEntry{Name: name, Value: []byte(value)})
		}
	}
	slices.SortFunc(entries, func(a, b backend.MetadataEntry) int { return strings.Compare(a.Name, b.Name) })
	return entries
}

// specialUse returns the special use that a namespace gives one of its mailboxes, "" = none.
func (n *namespace) specialUse(name string) string {
	for _, m := range n.Mailboxes {
		if m.Name == name {
			return m.SpecialUse
		}
	}
	return ""
}

// addSpecialUse adds the configured special use, unless the mailbox has one of its own.
func addSpecialUse(entries []backend.MetadataEntry, special string) []backend.MetadataEntry {
	i, found := slices.BinarySearchFunc(entries, specialUseEntry, func(e backend.MetadataEntry, name string) int { return strings.Compare(e.Name, name) })
	if found {
		return entries
	}
	return slices.Insert(entries, i, backend.MetadataEntry{Name: specialUseEntry, Value: []byte(special)})
}

// SetMetadata implements backend.Metadata.
func (s *Storage) SetMetadata(ctx context.Context, m backend.MailboxRef, changes []backend.MetadataEntry) error {
	if err := s.keepsMetadata(); err != nil {
		return err
	}
	list := make([]mdbox.AttributeChange, len(changes))
	for i, c := range changes {
		change, err := attributeChange(m.Name == "", c)
		if err != nil {
			return err
		}
		list[i] = change
	}
	if err := s.allowMetadata(m); err != nil {
		return err
	}
	m.Name = mailboxOfMetadata(m.Name)
	box, p, release, err := s.changing(ctx, m)
	if err != nil {
		return err
	}
	defer release()
	if err := box.SetAttributes(ctx, list, s.settings.maxAttributes); err != nil {
		return s.failed(p, box, err)
	}
	return nil
}

// attributeChange turns a change of an entry into one of an annotation of a mailbox, or of the server.
func attributeChange(server bool, c backend.MetadataEntry) (change mdbox.AttributeChange, err error) {
	name, shared := strings.CutPrefix(c.Name, "/shared/")
	if !shared {
		var private bool
		if name, private = strings.CutPrefix(c.Name, "/private/"); !private {
			name = ""
		}
	}
	switch {
	case name == "":
		return change, backend.Errorf(backend.KindInvalidArgument, "The %s attribute cannot be changed", c.Name)
	case strings.HasPrefix(name, hiddenAttributes):
		return change, backend.Errorf(backend.KindInvalidArgument, "Internal mailbox attributes cannot be accessed")
	case slices.Contains(c.Value, 0): // Dovecot would read up to it
		return change, backend.Errorf(backend.KindInvalidArgument, "Attribute string value has NULs")
	}
	if server {
		name = mdbox.ServerAttributes + name
	}
	return mdbox.AttributeChange{Key: mdbox.AttributeKey{Shared: shared, Name: name}, Value: string(c.Value), Remove: c.Value == nil}, nil
}
