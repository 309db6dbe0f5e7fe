package check

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/roostmail/roost/mdbox"
	"github.com/roostmail/roost/mdbox/dbox"
	"github.com/roostmail/roost/mdbox/index"
	"github.com/roostmail/roost/mdbox/mapindex"
	"github.com/roostmail/roost/mdbox/vfs"
)

// RebuildOptions say how to rebuild.
type RebuildOptions struct {
	FS vfs.FS // of the store; nil: vfs.OS
	// Progress is as for Options; it is told of the verification, and then of the repair.
	Progress func(done, total int64)
	// Told is called for each repair when it is done; nil: nobody.
	Told func(Repair)
}

// Rebuild repairs what Verify calls damage, and nothing else: if there is none, it changes nothing, with two exceptions. Unfinished writes at the
// ends of logs, which a Dovecot before 2.4.5 takes for corruption, are cut off. And messages that no mailbox has although the map counts
// references to them, be it that a process was killed or that a mailbox has vanished, go back to their mailbox. The store must be one that may be
// written.
//
// It holds TREE and MAP while it works on the map, the mail files or references, so that others wait who want to make, rename or delete mailboxes, to
// save, copy or expunge, and BOX of one mailbox at a time. Others may read meanwhile, and read everything again afterwards. When it is interrupted, the next one goes on.
//
// What is known is taken from wherever it still is (index.Salvage, dbox.Salvage), and put together by the GUIDs of
// messages. Repairs.Done says what was done, and what was lost. The error is one of ctx, a lock, or the file system, or ErrFormat.
func Rebuild(ctx context.Context, s *mdbox.Store, o RebuildOptions) (*Repairs, error) {
	if o.FS == nil {
		o.FS = vfs.OS
	}
	if f := s.Location().Format; f != "" && f != mdbox.FormatMdbox {
		return &Repairs{Found: &Report{}}, ErrFormat
	}
	report, err := Verify(ctx, s, Options{FS: o.FS, Progress: o.Progress})
	if err != nil {
		return &Repairs{Found: report}, err
	}
	b := &builder{ctx: ctx, s: s, o: o, paths: s.Paths(), known: s.Remembered(), out: &Repairs{Found: report}}
	scope := b.scope(report)
	if report.Clean() && !scope.mail {
		return b.out, nil
	}
	if err := b.checkAlt(); err != nil {
		return b.out, fmt.Errorf("check: rebuild: %w", err)
	}
	steps := []func() error{}
	if scope.mail {
		steps = append(steps, b.repairMail)
	}
	if scope.list {
		steps = append(steps, b.repairList)
	}
	if scope.control {
		steps = append(steps, b.repairControl)
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return b.out, fmt.Errorf("check: rebuild: %w", err)
		}
	}
	if err := b.repairCaches(scope.caches); err != nil {
		return b.out, fmt.Errorf("check: rebuild: %w", err)
	}
	if err := b.repairSizes(scope.sizes); err != nil {
		return b.out, fmt.Errorf("check: rebuild: %w", err)
	}
	return b.out, nil
}

// ErrNoAlt says that the store has mail in ALT storage, which is not configured, or not there: without it
// all of that would be taken for lost.
var ErrNoAlt = errors.New("the store has an alternative storage, which is not configured or not there (ALT= in mail_location)")

// altLink is a link to the ALT root that Dovecot keeps in the root.
const altLink = "dbox-alt-root"

func (b *builder) checkAlt() error {
	if b.paths.AltStorage != "" {
		if _, err := b.o.FS.Stat(b.paths.AltStorage); err == nil {
			return nil
		}
	}
	entries, err := b.o.FS.ReadDir(b.s.Location().Root)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.Name() == altLink {
			return ErrNoAlt
		}
	}
	if b.paths.AltStorage != "" {
		if _, err := b.o.FS.Stat(b.s.Location().Alt); err != nil {
			return fmt.Errorf("%w: %w", ErrNoAlt, err)
		}
	}
	return nil
}

// scope is which parts of a store need repair.
type scope struct {
	mail, list, control bool
	caches              map[string]bool     // mailboxes
	sizes               map[string][]uint32 // UIDs of messages whose size the index of a mailbox has wrong, ascending
}

func (b *builder) scope(r *Report) scope {
	sc := scope{caches: map[string]bool{}, sizes: map[string][]uint32{}, mail: r.More > 0}
	b.torn = map[string]int64{}
	for _, f := range r.Findings {
		switch {
		case f.Kind == Leftover && f.torn > 0 && !strings.HasPrefix(f.File, b.paths.ListIndex):
			b.torn[f.Mailbox] = f.torn
			sc.mail = true
		case f.orphan:
			sc.mail = true
		case f.Kind != Damage:
		case strings.HasPrefix(f.File, b.paths.ListIndex):
			sc.list = true
		case f.size:
			sc.sizes[f.Mailbox] = append(sc.sizes[f.Mailbox], f.UID)
		case strings.HasSuffix(f.File, "/dovecot.index.cache"):
			sc.caches[f.Mailbox] = true
		case f.File == b.paths.Control, strings.Contains(f.File, "uidvalidity"), strings.HasSuffix(f.File, b.s.Location().Subscriptions):
			sc.control = true
		default:
			sc.mail = true
		}
	}
	return sc
}

// builder is one run of Rebuild.
type builder struct {
	ctx   context.Context
	s     *mdbox.Store
	o     RebuildOptions
	paths mdbox.Paths
	out   *Repairs

	known   map[string]mdbox.Remembered
	r       *mdbox.Repair
	mapSeen *index.Salvaged
	mapLost bool // records of the map are missing
	entries map[mapindex.UID]mapindex.Entry
	boxes   []*oldBox
	files   []*oldFile
	mails   []*mail
	byGUID  map[dbox.GUID][]*mail
	byPlace map[place]*mail
	highest dbox.FileID
	leftOut bool             // names are left out of the tree, whose references can not be counted
	made    bool             // mailboxes were made
	torn    map[string]int64 // mailboxes, "" = the map, whose logs end with so many bytes of an unfinished write
}

func (b *builder) did(r Repair) {
	b.out.Done = append(b.out.Done, r)
	if b.o.Told != nil {
		b.o.Told(r)
	}
}

// repairMail repairs the map, the mail files and the mailboxes, under TREE and MAP.
func (b *builder) repairMail() (err error) {
	if b.r, err = b.s.LockForRepair(b.ctx); err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, b.r.Unlock())
		b.s.MarkListStale(b.ctx, b.made) // LIST is for when MAP is free
	}()
	for _, step := range []func() error{
		b.readMap, b.readMailboxes, b.readFiles, b.match, b.rewriteFiles, b.repairMap, b.chooseMailboxes, b.repairMailboxes,
	} {
		if err := b.ctx.Err(); err != nil {
			return err
		}
		if err := step(); err != nil {
			return err
		}
	}
	return b.finishMap()
}
