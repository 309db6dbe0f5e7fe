package check

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/roostmail/roost/mdbox"
	"github.com/roostmail/roost/mdbox/index"
	"github.com/roostmail/roost/mdbox/mapindex"
	"github.com/roostmail/roost/mdbox/translog"
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

	known map[string]mdbox.Remembered // from before anything else was read
	names []string                    // of the mailboxes that were listed
	boxes []*box                      // those of them that could be opened
	moved bool                        // mailboxes were renamed or deleted while they were opened, or since
	odd   map[[2]string]bool          // see noteOdd
	m     *mapindex.Map               // nil: there is none
}

// Verify reads a whole store and reports what is wrong with it. The error is one of ctx or of the file system, which says
// nothing about the store.
func Verify(ctx context.Context, s *mdbox.Store, o Options) (*Report, error) {
	if o.FS == nil {
		o.FS = vfs.OS
	}
	if f := s.Location().Format; f == mdbox.FormatMaildir {
		return nil, fmt.Errorf("check: a store of the format %s can not be verified", f)
	}
	v := &verifier{ctx: ctx, s: s, o: o, paths: s.Paths(), report: &Report{}, known: s.Remembered(), odd: map[[2]string]bool{}}
	steps := []func() error{v.openMap, v.openMailboxes, v.references, v.mailFiles, v.mailboxes, v.control}
	if s.Location().Format == mdbox.FormatSdbox {
		steps = v.singleSteps()
	}
	for _, step := range steps {
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
	v.unread(x, mailbox)
	v.behind(x, mailbox)
	v.history(x, mailbox)
	v.backup(x, mailbox)
	problems, more := x.Damage()
	for _, p := range problems {
		v.report.damage(p, x.Path(), mailbox, 0)
	}
	v.report.More += more
	if err := x.State().Check(); err != nil {
		v.report.damage(err, x.Path(), mailbox, 0)
	}
}

// unread reports what follows the last complete transaction of a log. Somebody may be writing it just now; else it was left unfinished, or
// what was there is damaged.
func (v *verifier) unread(x *index.Index, mailbox string) {
	path := x.Path() + ".log"
	for range attempts {
		end := x.State().Pos()
		st, err := v.o.FS.Stat(path)
		if err != nil || st.Size <= int64(end.Offset) {
			return
		}
		if changed, err := x.Refresh(); err != nil || changed {
			continue
		}
		tail, err := vfs.ReadFile(v.o.FS, path, maxIndexFile)
		if err != nil || int64(len(tail)) <= int64(end.Offset) {
			continue
		}
		f := Finding{Kind: Leftover, File: path, Offset: int64(end.Offset), Mailbox: mailbox,
			Rule: fmt.Sprintf("%d bytes that are no complete transaction", len(tail)-int(end.Offset)), torn: int64(len(tail)) - int64(end.Offset)}
		if translog.HasRecords(tail[end.Offset:]) {
			f.Kind, f.Rule = Damage, "not a record, although complete ones follow"
		}
		v.report.add(f)
		return
	}
}

// behind reports a mailbox whose index has lost changes that the list index still knows of: clients must not meet a UID or a modseq again.
func (v *verifier) behind(x *index.Index, mailbox string) {
	known := v.known[mailbox]
	if mailbox == "" || known.UIDValidity == 0 {
		return
	}
	if _, err := x.Refresh(); err != nil || x.State().UIDValidity() != known.UIDValidity {
		return
	}
	if s := x.State(); s.NextUID() < known.UIDNext || s.HighestModSeq() < known.HighestModSeq {
		v.report.damage(fmt.Errorf("UIDNEXT %d and HIGHESTMODSEQ %d, the list index has seen %d and %d", s.NextUID(), s.HighestModSeq(),
			known.UIDNext, known.HighestModSeq), x.Path()+".log", mailbox, 0)
	}
}

// history reads the logs from their beginnings, as whoever asks what has changed since does.
func (v *verifier) history(x *index.Index, mailbox string) {
	base := x.Path() + ".log"
	head, err := translog.OpenFile(v.o.FS, base, 0)
	if err != nil {
		if isDamage(err) {
			v.report.damage(err, base, mailbox, 0)
		}
		return
	}
	defer head.Close()
	if pos := x.State().Pos(); head.Header.FileSeq == pos.FileSeq {
		v.records(head, int64(pos.Offset), mailbox)
	}
	old, err := translog.OpenFile(v.o.FS, base+".2", 0)
	if err != nil {
		if isDamage(err) {
			v.report.damage(err, base+".2", mailbox, 0)
		}
		return
	}
	defer old.Close()
	end := old.Info.Size
	if old.Header.FileSeq == head.Header.PrevFileSeq {
		end = int64(head.Header.PrevFileOffset)
	}
	v.records(old, end, mailbox)
}

// records checks that a log consists of records up to end.
func (v *verifier) records(f *translog.File, end int64, mailbox string) {
	last, err := f.Scan(f.Header.Start().Offset, min(end, f.Info.Size), func(*translog.Record) error { return nil })
	switch {
	case isDamage(err):
		v.report.damage(err, f.Path, mailbox, 0)
	case err == nil && int64(last.Offset) < end:
		v.report.damage(vfs.Corrupt(int64(last.Offset), "there are records up to %d", end), f.Path, mailbox, 0)
	}
}

// backup decodes dovecot.index.backup, from which a rebuild takes what the index has lost.
func (v *verifier) backup(x *index.Index, mailbox string) {
	path := x.Path() + ".backup"
	b, err := vfs.ReadFile(v.o.FS, path, maxIndexFile)
	if err != nil {
		return
	}
	if _, err := index.DecodeSnapshot(b, 0); err != nil {
		v.report.damage(vfs.At(err, path, 0), path, mailbox, 0)
	}
}

// maxIndexFile bounds an index that is read at once.
const maxIndexFile = 1 << 30

func isDamage(err error) bool {
	var c *vfs.CorruptError
	return errors.As(err, &c)
}

// unfinished reports whether a process that changed the index did not come to the end of it.
func unfinished(x *index.Index) bool { return x.State().Tail() != x.State().Pos() }
