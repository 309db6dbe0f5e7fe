package mdbox

import (
	"context"
	"errors"
	"io/fs"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/mdbox"
	"github.com/roostmail/roost/mdbox/dbox"
	"github.com/roostmail/roost/mdbox/filelock"
	"github.com/roostmail/roost/mdbox/mailboxlist"
	"github.com/roostmail/roost/mdbox/vfs"
	"golang.org/x/sys/unix"
)

// toBackend turns an error of the library into one that may cross the plugin
// boundary: a message for the client, and the rest for the log. It returns nil for nil.
func toBackend(err error) *backend.Error {
	var already *backend.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &already):
		return already
	}
	kind, message := classify(err)
	return &backend.Error{Kind: kind, Message: message, Detail: err.Error(), Cause: err}
}

func classify(err error) (backend.ErrorKind, string) {
	var (
		corrupt  *vfs.CorruptError
		name     *mailboxlist.NameError
		tooLarge *dbox.LimitError
		tooMany  *mailboxlist.LimitError
	)
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return backend.KindCancelled, ""
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT):
		return backend.KindOverQuota, "Not enough disk space"
	case errors.Is(err, filelock.ErrTimeout):
		return backend.KindInUse, "Mailbox is locked by somebody else, try again later"
	case errors.Is(err, mdbox.ErrReadOnly), errors.Is(err, unix.EROFS):
		return backend.KindReadOnly, "Mail storage is read-only"
	case errors.Is(err, mdbox.ErrExists):
		return backend.KindAlreadyExists, "Mailbox exists already"
	case errors.Is(err, mdbox.ErrRebuilt):
		return backend.KindInUse, "Mail storage was repaired meanwhile, try again"
	case errors.Is(err, mdbox.ErrHasChildren):
		return backend.KindInvalidArgument, "Mailbox has children, and is only their parent"
	case errors.Is(err, mdbox.ErrPermissionsConflict):
		return backend.KindNoPermission, "Mailboxes have different permissions"
	case errors.Is(err, dbox.ErrLooksCompressed):
		return backend.KindInvalidArgument, "Message starts like a compressed file, and can not be stored as it is (zlib_save)"
	case errors.Is(err, mdbox.ErrNotFound):
		return backend.KindNotFound, "Mailbox does not exist"
	case errors.Is(err, mdbox.ErrNotInitialised):
		return backend.KindInUse, "Mailbox is being created"
	case errors.Is(err, mdbox.ErrExpunged):
		return backend.KindExpunged, "Message was expunged"
	case errors.Is(err, unix.ENAMETOOLONG): // of a path, with the directories above the mailboxes
		return backend.KindInvalidArgument, "Mailbox name is too long"
	case errors.As(err, &name):
		return backend.KindInvalidArgument, name.Error()
	case errors.As(err, &corrupt), errors.Is(err, fs.ErrNotExist): // such as the map, or an attachment
		return backend.KindCorrupted, "Stored data is damaged"
	case errors.As(err, &tooLarge):
		return backend.KindLimit, "Message exceeds the limit max_message_size"
	case errors.As(err, &tooMany):
		return backend.KindLimit, "Too many mailboxes, limit max_mailboxes"
	case errors.Is(err, mdbox.ErrTooManyAttributes):
		return backend.KindLimit, "Too many annotations (options.max_attributes)"
	case errors.Is(err, vfs.ErrTooLarge):
		return backend.KindLimit, "A file is too large"
	case errors.Is(err, dbox.ErrEncrypted):
		return backend.KindUnsupported, "Message is encrypted"
	case errors.Is(err, dbox.ErrNoAttachmentDir):
		return backend.KindUnavailable, "Attachments are not configured (mail_attachment_dir)"
	case errors.Is(err, fs.ErrPermission):
		return backend.KindNoPermission, "Mail storage is not accessible"
	case errors.Is(err, errCacheClosed), errors.Is(err, dbox.ErrClosed):
		return backend.KindUnavailable, "Mail storage is shutting down"
	}
	return backend.KindInternal, "Mail storage failed"
}
