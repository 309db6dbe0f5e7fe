package mdbox

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/mdbox/vfs"
)

// owner is the identity that a user's mail is used under: that of the user database, else that of mail_uid and mail_gid, else
// that of this process.
type owner struct{ uid, gid int }

// parseOwner takes numbers and names.
func parseOwner(uid, gid string) (o owner, err error) {
	if o.uid, err = number(uid, userID); err != nil {
		return o, fmt.Errorf("uid: %w", err)
	}
	if o.gid, err = number(gid, groupID); err != nil {
		return o, fmt.Errorf("gid: %w", err)
	}
	return o, nil
}

func number(s string, lookup func(string) (string, error)) (int, error) {
	if n, err := strconv.ParseUint(s, 10, 31); err == nil {
		return int(n), nil
	}
	id, err := lookup(s)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(id)
}

// files returns the file system as the owner sees it. A process that may not take the identity says so, and does nothing in its own name.
func (o owner) files(groups *groupCache) (vfs.FS, error) {
	fsys, err := groups.files(o)
	if errors.Is(err, vfs.ErrIdentity) {
		return nil, &backend.Error{Kind: backend.KindNoPermission, Message: "Mail storage can not be used under the user's identity",
			Detail: err.Error() + "; run the plugin as root, or as the owner of the mail", Cause: err}
	}
	return fsys, err
}
