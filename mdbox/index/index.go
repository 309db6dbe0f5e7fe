package index

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/roostmail/roost/mdbox/translog"
	"github.com/roostmail/roost/mdbox/vfs"
)

// Options say which index to open.
type Options struct {
	FS vfs.FS // nil = vfs.OS
	// Dir is the directory of the files.
	Dir string
	// Prefix is the name of the snapshot: "dovecot.index" (also if empty),
	// "dovecot.map.index" or "dovecot.list.index". The log is Prefix + ".log".
	Prefix string
	// MaxFileBytes limits the size of a snapshot, and of the part of a log that
	// is read at once, in bytes; 0 = translog.DefaultMaxLogBytes.
	MaxFileBytes int64
	// MaxStateBytes limits the memory of the State, in bytes; 0 = DefaultMaxStateBytes.
	MaxStateBytes int64
	// Late makes Open leave out the columns of extensions, but for those of keywords and modseqs, as long as nothing needs
	// them: the first Refresh or Lock reads them. What does not come after one of these must not ask for them; RefreshFlags does not count.
	Late bool
}

// DefaultPrefix is the file name of the snapshot of a mailbox.
const DefaultPrefix = "dovecot.index"

// maxDamage is how many problems an Index remembers; what is beyond is counted only.
const maxDamage = 100

// loadAttempts is how often Open looks again when the files do not fit together,
// which they do not while another process replaces one after the other.
const loadAttempts = 5

// ErrDeleted is returned by Refresh when the index is gone, or marked as
// deleted. The State remains what it was.
var ErrDeleted = errors.New("index: deleted")

// ErrHistoryGone is returned by Changes when the log does not reach back to
// the position, or the index was rebuilt since.
var ErrHistoryGone = errors.New("index: history gone")

// Index is an open index. It holds no descriptors: files are opened while they
// are read. See the package comment for ownership.
type Index struct {
	o       Options
	path    string // of the snapshot
	logFile string // path of .log
	state   *State
	// log is .log as it was when state was made. If its Info has not changed, nothing has.
	log vfs.Info
	// logStart is the start of .log, as far as state contains it.
	logStart []byte
	// snapshot is the snapshot as it was then; only looked at when stuck.
	snapshot vfs.Info
	// stuck: state does not contain the whole log, since it is damaged. There is
	// no going on from state; when a file changes, everything is read again.
	stuck bool
	// onDisk is the log position of the snapshot, as far as is known: that of a newer one is
	// behind it.
	onDisk translog.Pos
	// replayed is how many bytes of log were applied to a snapshot when everything was
	// read for the last time.
	replayed int64
	damage   []*vfs.CorruptError
	dropped  int // problems that damage has no room for
}

// Open reads an index. There is nothing to close.
//
// It fails with fs.ErrNotExist if there is neither a snapshot nor a log, with a
// *vfs.CorruptError if what is there does not give a state that once was, and
// with vfs.ErrTooLarge if a file exceeds a limit. Lesser damage is no error: see Damage.
func Open(o Options) (*Index, error) {
	x := newIndex(o)
	if err := x.load(); err != nil {
		return nil, err
	}
	return x, nil
}

func newIndex(o Options) *Index {
	o.setDefaults()
	path := filepath.Join(o.Dir, o.Prefix)
	return &Index{o: o, path: path, logFile: path + ".log"}
}

func (o *Options) setDefaults() {
	if o.FS == nil {
		o.FS = vfs.OS
	}
	if o.Prefix == "" {
		o.Prefix = DefaultPrefix
	}
	if o.MaxFileBytes == 0 {
		o.MaxFileBytes = translog.DefaultMaxLogBytes
	}
	if o.MaxStateBytes == 0 {
		o.MaxStateBytes = DefaultMaxStateBytes
	}
}

// State is the content of the index as of the last Refresh. The pointer stays
// the same until a Refresh has to read everything again.
func (x *Index) State() *State { return x.state }

// Damage returns what is damaged, as far as it was noticed and has not been
// replaced since, and how many more problems there are. The slice is not changed later.
func (x *Index) Damage() (problems []*vfs.CorruptError, more int) {
	return x.damage[:len(x.damage):len(x.damage)], x.dropped
}

// Path is the path of the snapshot; the log is Path + ".log".
func (x *Index) Path() string { return x.snapshotPath() }

func (x *Index) snapshotPath() string { return x.path }
func (x *Index) logPath() string      { return x.logFile }

// report notes damage.
func (x *Index) report(e *vfs.CorruptError) {
	if len(x.damage) < maxDamage {
		x.damage = append(x.damage, e)
		return
	}
	x.dropped++
}

// reportError notes err if it is damage, else returns it.
func (x *Index) reportError(err error) error {
	var c *vfs.CorruptError
	if !errors.As(err, &c) {
		return err
	}
	x.report(c)
	return nil
}

// Refresh brings the state up to date with what was appended to the log, and
// tells whether anything was. Only the new part of the log is read, unless the
// files were replaced by others that do not continue what was read.
//
// It returns ErrDeleted, or an error of the file system. After an error the
// state is as it was.
func (x *Index) Refresh() (changed bool, err error) {
	state := x.state
	changed, err = x.RefreshFlags()
	if err == nil {
		err = x.complete()
	}
	return changed || x.state != state, err
}

// RefreshFlags is Refresh for who needs only the header, UIDs, flags, keywords and modseqs. See Options.Late.
func (x *Index) RefreshFlags() (changed bool, err error) {
	info, err := x.o.FS.Stat(x.logPath())
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, x.refreshWithoutLog()
	case err != nil:
		return false, fmt.Errorf("index: refresh: %w", err)
	case info == x.log && !(x.stuck && x.snapshotChanged()):
		return false, x.deletedError()
	}
	state, before := x.state, x.state.Position()
	if err := x.advance(); errors.Is(err, fs.ErrNotExist) {
		return false, fmt.Errorf("%w: %w", ErrDeleted, err)
	} else if err != nil {
		return false, err
	}
	return x.state != state || x.state.Position() != before, x.deletedError()
}

func (x *Index) deletedError() error {
	if x.state.Deleted() {
		return fmt.Errorf("%w: %s", ErrDeleted, x.snapshotPath())
	}
	return nil
}

// refreshWithoutLog handles a log that is not there: the index is deleted, or
// it never had one and shows its snapshot only.
func (x *Index) refreshWithoutLog() error {
	if x.log == (vfs.Info{}) && !x.snapshotChanged() {
		return nil
	}
	if _, err := x.o.FS.Stat(x.snapshotPath()); err == nil {
		return x.load()
	}
	return fmt.Errorf("%w: %s", ErrDeleted, x.logPath())
}

func (x *Index) snapshotChanged() bool {
	info, err := x.o.FS.Stat(x.snapshotPath())
	return err == nil && info != x.snapshot
}

// advance applies what is new in the log, or reads everything again.
func (x *Index) advance() error {
	if x.stuck {
		return x.load()
	}
	if err := x.complete(); err != nil {
		return err
	}
	chain, err := x.openChainFrom(x.state.pos)
	var corrupt *vfs.CorruptError
	if errors.As(err, &corrupt) {
		return x.load()
	}
	if err != nil {
		return fmt.Errorf("index: refresh: %w", err)
	}
	defer chain.Close()
	return x.advanceAlong(chain)
}

// advanceAlong applies what is new in chain, or reads everything again if chain
// does not continue the state.
func (x *Index) advanceAlong(chain *translog.Chain) error {
	segments, ok := chain.Segments(x.state.pos)
	if !ok || chain.Head.Header.IndexID != x.state.hdr.IndexID() || resetsAfter(x.state.pos, segments) || x.replaced(chain.Head) {
		return x.load()
	}
	return x.replay(x.state, chain, segments)
}

// replaced reports whether head is another log than the one that state is of,
// although it has its indexid and sequence number: the index was deleted and made
// again within a second, perhaps with the old file's inode number.
func (x *Index) replaced(head *translog.File) bool {
	return head.Header.FileSeq == x.state.pos.FileSeq && !bytes.HasPrefix(head.Start, x.logStart)
}

// noteLog remembers the log that state is of.
func (x *Index) noteLog(head *translog.File) {
	x.log = head.Info
	x.logStart = nil
	if head.Header.FileSeq == x.state.pos.FileSeq {
		x.logStart = head.Start[:min(len(head.Start), int(x.state.pos.Offset))]
	}
}

// openChainFrom opens what is needed of the log to read it from pos: in the
// usual case only .log.
func (x *Index) openChainFrom(pos translog.Pos) (*translog.Chain, error) {
	head, err := translog.OpenFile(x.o.FS, x.logPath(), x.o.MaxFileBytes)
	if err != nil {
		return nil, err
	}
	if head.Header.FileSeq == pos.FileSeq {
		return &translog.Chain{Head: head}, nil
	}
	head.Close()
	return translog.OpenChain(x.o.FS, x.logPath(), x.o.MaxFileBytes)
}

// resetsAfter reports whether the index was started anew after pos.
func resetsAfter(pos translog.Pos, segments []translog.Segment) bool {
	return segments[0].Resets() && segments[0].File.Header.FileSeq != pos.FileSeq
}
