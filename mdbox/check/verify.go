package check

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/roostmail/roost/mdbox"
	"github.com/roostmail/roost/mdbox/index"
	"github.com/roostmail/roost/mdbox/mapindex"
	"github.com/roostmail/roost/mdbox/vfs"
)

// Options say how to verify.
type Options struct {
	FS vfs.FS // of the store; nil: vfs.OS
	// Shallow leaves out to read the text of every message.
	Shallow bool
	// Progress, if it is not nil, is told what has been looked at, of how much: bytes of mail files.
	Progress func(done, total int64)
}

// attempts is how often something is looked at that others change meanwhile.
const attempts = 5

// verifier is one run of Verify.
type verifier struct {
	ctx    context.Context
	s      *mdbox.Store
	o      Options
	paths  mdbox.Paths
	report *Report

	boxes []*box
	m     *mapindex.Map // nil: there is none
}

// Verify reads a whole store and reports what is wrong with it. The error is one of ctx or of the file system, which says
// nothing about the store.
func Verify(ctx context.Context, s *mdbox.Store, o Options) (*Report, error) {
	if o.FS == nil {
		o.FS = vfs.OS
	}
	v := &verifier{ctx: ctx, s: s, o: o, paths: s.Paths(), report: &Report{}}
	for _, step := range []func() error{v.openMap, v.openMailboxes, v.references, v.mailFiles, v.mailboxes, v.control} {
		if err := step(); err != nil {
			return v.report, fmt.Errorf("check: %w", err)
		}
	}
	return v.report, nil
}

// openMap reads the map.
func (v *verifier) openMap() error {
	m, err := mapindex.Open(v.paths.Map, index.Options{FS: v.o.FS})
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if isDamage(err) {
		v.report.damage(err, v.mapPath(), "", 0)
		return nil
	}
	if err != nil {
		return err
	}
	v.m = m
	v.indexDamage(m.Index(), "")
	m.All(func(uid mapindex.UID, e mapindex.Entry, err error) bool {
		if err != nil {
			v.report.damage(err, v.mapPath(), "", 0)
		}
		return true
	})
	return nil
}

func (v *verifier) mapPath() string { return v.paths.Map + "/" + mapindex.Prefix }

// indexDamage reports what was found damaged when an index was read.
func (v *verifier) indexDamage(x *index.Index, mailbox string) {
	problems, more := x.Damage()
	for _, p := range problems {
		v.report.damage(p, x.Path(), mailbox, 0)
	}
	v.report.More += more
	if err := x.State().Check(); err != nil {
		v.report.damage(err, x.Path(), mailbox, 0)
	}
}

func isDamage(err error) bool {
	var c *vfs.CorruptError
	return errors.As(err, &c)
}

// unfinished reports whether a process that changed the index did not come to the end of it.
func unfinished(x *index.Index) bool { return x.State().Tail() != x.State().Pos() }
