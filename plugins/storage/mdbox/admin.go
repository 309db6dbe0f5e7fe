package mdbox

import (
	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/mdbox"
	"github.com/roostmail/roost/mdbox/vfs"
)

// OpenStore opens the store of a user in a namespace for a command of the administrator: what it reads is not kept, and report is told of
// damage that was worked around. The file system is that of the store's owner. The caller closes the store. Errors are
// *backend.Error.
func (s *Storage) OpenStore(u *backend.User, namespace string, report func(error)) (*mdbox.Store, vfs.FS, error) {
	_, p, err := s.locate(u, namespace)
	if err != nil {
		return nil, nil, err
	}
	fsys, err := p.owner.files(&s.stores.groups)
	if err != nil {
		return nil, nil, toBackend(err)
	}
	return mdbox.New(p.location, mdbox.Options{
		FS:             fsys,
		Write:          s.stores.writingFor(&s.namespaces[p.namespace].Namespace),
		AttachmentDir:  p.attachments,
		Attributes:     p.attributes,
		MaxMessageSize: uint64(s.settings.maxMessage),
		MaxMailboxes:   s.settings.maxTree,
		Report:         report,
	}), fsys, nil
}
