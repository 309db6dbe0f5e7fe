package check

import (
	"errors"
	"io/fs"
	"path/filepath"

	"github.com/roostmail/roost/mdbox/index"
	"github.com/roostmail/roost/mdbox/mailboxlist"
)

// control checks the files that belong to the store as a whole.
func (v *verifier) control() error {
	_, damage, err := v.s.Subscriptions()
	switch {
	case isDamage(err):
		v.report.damage(err, v.paths.Control, "", 0)
	case err != nil:
		return err
	}
	for _, d := range damage {
		v.report.add(Finding{Kind: Leftover, File: v.paths.Control, Offset: -1, Rule: "subscriptions: " + d})
	}
	if _, err := mailboxlist.LastUIDValidity(v.o.FS, v.paths.Control); isDamage(err) {
		v.report.damage(err, v.paths.Control, "", 0)
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return v.listIndex()
}

// listIndex checks dovecot.list.index.
func (v *verifier) listIndex() error {
	dir, prefix := filepath.Split(v.paths.ListIndex)
	x, err := index.Open(index.Options{FS: v.o.FS, Dir: filepath.Clean(dir), Prefix: prefix})
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case isDamage(err):
		v.report.damage(err, v.paths.ListIndex, "", 0)
		return nil
	case err != nil:
		return err
	}
	v.indexDamage(x, "")
	tree, err := mailboxlist.TreeOf(x.State(), mailboxlist.Codec{UTF8: v.s.Location().UTF8, Dir: v.s.Location().DirName})
	if err != nil {
		v.report.damage(err, v.paths.ListIndex, "", 0)
		return nil
	}
	for _, d := range tree.Damage {
		v.report.add(Finding{File: v.paths.ListIndex, Offset: -1, Rule: d})
	}
	return nil
}
