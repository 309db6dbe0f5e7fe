package index

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/roostmail/roost/mdbox/translog"
	"github.com/roostmail/roost/mdbox/vfs"
)

// Salvaged is what can be read of an index that may be damaged.
type Salvaged struct {
	// State has all that is known. It is nil if nothing is there at all.
	State *State
	// Complete: nothing that has happened is missing in State, whatever is damaged. Else messages, flags
	// and expunges may be missing, or messages be there that were expunged; and State has next_uid and modseqs behind all that
	// can have been used in what is lost.
	Complete bool
	// Damage says what is wrong, file by file.
	Damage []*vfs.CorruptError
	// Which files are damaged.
	Snapshot, Backup, Log, Log2 bool
	// Expunged are the GUIDs of messages that the logs say were expunged.
	Expunged map[[16]byte]bool
	// From names the files that State was taken from.
	From string
}

// Damaged reports whether anything is damaged.
func (v *Salvaged) Damaged() bool { return len(v.Damage) > 0 }

// salvager is one run of Salvage.
type salvager struct {
	o    Options
	path string
	v    *Salvaged

	snapshot, backup []byte // nil: not there
	logs             []*oldLog
}

// oldLog is a log as it was found.
type oldLog struct {
	path  string
	b     []byte
	h     translog.Header
	known bool // h was read, and not guessed
	holes []translog.Hole
}

// Salvage reads what there is of an index. It goes on behind damage: a log is read from where its records begin again, of a snapshot the
// records that are sound are taken, and messages are put together from the snapshot, the one before it (.backup) and both
// logs. Nothing is locked or changed. The error is one of the file system.
func Salvage(o Options) (*Salvaged, error) {
	o.setDefaults()
	p := &salvager{o: o, path: newIndex(o).path, v: &Salvaged{Expunged: map[[16]byte]bool{}}}
	if err := p.read(); err != nil {
		return nil, fmt.Errorf("index: salvage: %w", err)
	}
	p.judge()
	if x, err := Open(o); err == nil && !x.stuck && len(x.damage) == 0 && x.state.Check() == nil && !p.v.Snapshot {
		p.v.State, p.v.Complete, p.v.From = x.state, true, "index and log"
		return p.v, nil
	} else if err == nil {
		p.v.Damage = appendProblems(p.v.Damage, x.damage...)
		if err := x.state.Check(); err != nil && len(p.v.Damage) == 0 {
			p.damage(&vfs.CorruptError{File: p.path, Rule: err.Error()})
		}
	} else if c := (*vfs.CorruptError)(nil); errors.As(err, &c) {
		p.v.Damage = appendProblems(p.v.Damage, c)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("index: salvage: %w", err)
	}
	p.assemble()
	return p.v, nil
}

// appendProblems adds what is not there yet.
func appendProblems(to []*vfs.CorruptError, problems ...*vfs.CorruptError) []*vfs.CorruptError {
	for _, c := range problems {
		if !slices.ContainsFunc(to, func(o *vfs.CorruptError) bool { return o.File == c.File }) {
			to = append(to, c)
		}
	}
	return to
}

func (p *salvager) damage(c *vfs.CorruptError) { p.v.Damage = append(p.v.Damage, c) }

func (p *salvager) read() error {
	for path, to := range map[string]*[]byte{p.path: &p.snapshot, p.path + backupSuffix: &p.backup} {
		b, err := vfs.ReadFile(p.o.FS, path, p.o.MaxFileBytes)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if err == nil && b == nil {
			b = []byte{}
		}
		*to = b
	}
	for _, path := range []string{p.path + ".log.2", p.path + ".log"} {
		b, h, damaged, err := translog.ReadSalvage(p.o.FS, path, p.o.MaxFileBytes)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		p.logs = append(p.logs, &oldLog{path: path, b: b, h: h, known: damaged == nil && h.IndexID != 0})
	}
	return nil
}

// judge finds out which files are damaged, by themselves.
func (p *salvager) judge() {
	for _, l := range p.logs {
		p.guessHeader(l)
		start := l.h.Start()
		end := int64(len(l.b))
		if int(start.Offset) > len(l.b) {
			start.Offset = uint32(len(l.b))
		}
		l.holes = translog.Salvage(l.b[start.Offset:end], start, func(r *translog.Record) error { p.note(r); return nil })
		bad := !l.known
		want := l.end(p)
		for _, h := range l.holes {
			if !h.AtEnd || want < len(l.b) && h.From < int64(want) {
				bad = true
				p.damage(&vfs.CorruptError{File: l.path, Offset: h.From, Rule: "not a record, although others follow"})
			}
		}
		if want > len(l.b) {
			bad = true
			p.damage(&vfs.CorruptError{File: l.path, Offset: int64(len(l.b)), Rule: fmt.Sprintf("there are records up to %d", want)})
		}
		if !l.known {
			p.damage(&vfs.CorruptError{File: l.path, Rule: "the header can not be read"})
		}
		if l.path == p.path+".log.2" {
			p.v.Log2 = bad
		} else {
			p.v.Log = bad
		}
	}
	for _, f := range []struct {
		b    []byte
		path string
		bad  *bool
	}{{p.snapshot, p.path, &p.v.Snapshot}, {p.backup, p.path + backupSuffix, &p.v.Backup}} {
		if f.b == nil {
			continue
		}
		s, err := DecodeSnapshot(f.b, p.o.MaxStateBytes)
		if err == nil && len(s.wrong) > 0 {
			err = s.wrong[0]
		}
		if err != nil {
			*f.bad = true
			var c *vfs.CorruptError
			if errors.As(vfs.At(err, f.path, 0), &c) {
				p.damage(c)
			}
		}
	}
}

// note takes down what a record says about expunged messages.
func (p *salvager) note(r *translog.Record) {
	if r.Header.Type != translog.TypeExpungeGUID || !r.Header.External {
		return
	}
	if es, err := r.Decode(0); err == nil {
		for _, e := range es.(translog.ExpungeGUIDs) {
			if e.GUID != [16]byte{} {
				p.v.Expunged[e.GUID] = true
			}
		}
	}
}

// guessHeader makes up the header of a log that has none, from what is around it.
func (p *salvager) guessHeader(l *oldLog) {
	if l.known {
		return
	}
	h := translog.NewHeader()
	if l.h.FileSeq != 0 { // only marked as corrupted
		h = l.h
	} else {
		h.InitialModSeq = 1
		for _, o := range p.logs {
			switch {
			case o == l || !o.known:
			case l.path == p.path+".log":
				h.FileSeq, h.PrevFileSeq, h.PrevFileOffset = o.h.FileSeq+1, o.h.FileSeq, uint32(len(o.b))
				h.InitialModSeq = o.h.InitialModSeq + uint64(len(o.b)/smallestRecord)
			case o.h.PrevFileSeq != 0:
				h.FileSeq = o.h.PrevFileSeq
			}
		}
		if s, err := DecodeSnapshot(p.snapshot, p.o.MaxStateBytes); err == nil && h.FileSeq == 0 {
			h.FileSeq, h.PrevFileSeq = s.pos.FileSeq, s.pos.FileSeq-1
			h.InitialModSeq = s.HighestModSeq()
		}
		if h.FileSeq == 0 {
			h.FileSeq = 2
		}
	}
	h.IndexID = l.h.IndexID
	l.h = h
}

// smallestRecord is the size of the smallest record that changes what a client can see, in bytes.
const smallestRecord = 12
