package session

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/roostmail/roost/core/imapwire"
)

// Body is a literal that the protocol wanted spooled (LiteralSpool): a message.
type Body struct {
	// At is where it is in the command: the offset behind its announcement. Kept octets of it are there, 0 or all
	// of them; what follows the literal is at At + Kept.
	At, Kept int
	Size     uint64
	memory   *bodyMemory // where it is, if Kept is not Size; nil: in the spool file
	off      int64       // in the spool file
}

// spool holds the bodies of one command: small ones are kept in the session's input, larger ones in memory while there is some (spoolmemory.go),
// others are written, one behind the other, to a file without a name. It belongs to the session's extra. Only workers touch the file.
type spool struct {
	bodies   []Body
	file     *os.File // nil: not made yet, or none needed
	end      int64    // of the file
	reserved int64    // what is in spools.bytes for it; not 0: it is in spools.files
}

// apart reports whether a body is not in the session's input.
func (sp *spool) apart() bool {
	return sp.file != nil || sp.reserved != 0 || slices.ContainsFunc(sp.bodies, func(b Body) bool { return b.memory != nil })
}

// spools bounds the spool files of all sessions, and has the memory for what needs none.
type spools struct {
	memory   spoolMemory
	dir      string
	maxBytes int64
	maxFiles int64
	bytes    atomic.Int64 // reserved, from a literal's announcement to the end of its command
	files    atomic.Int64
	closing  sync.WaitGroup // of files that are given back
}

// reserve makes room for size octets more, or returns the setting that refuses them.
func (p *spools) reserve(sp *spool, size int64) (limit string) {
	if sp.reserved == 0 && p.files.Add(1) > p.maxFiles {
		p.files.Add(-1)
		return limitSpoolFiles
	}
	if p.bytes.Add(size) > p.maxBytes {
		p.bytes.Add(-size)
		if sp.reserved == 0 {
			p.files.Add(-1)
		}
		return limitSpool
	}
	sp.reserved += size
	return ""
}

// write appends b to the body that is arriving. It may wait for the disk.
func (p *spools) write(sp *spool, b []byte) (err error) {
	if m := sp.arriving(); m != nil {
		m.write(b)
		return nil
	}
	if sp.file == nil {
		if sp.file, err = p.create(); err != nil {
			return err
		}
	}
	n, err := sp.file.WriteAt(b, sp.end)
	sp.end += int64(n)
	return err
}

// arriving returns the memory of the body that was announced last; nil if it goes to the file.
func (sp *spool) arriving() *bodyMemory { return sp.bodies[len(sp.bodies)-1].memory }

// create makes a file that has no name, and that nobody else can open.
func (p *spools) create() (*os.File, error) {
	// O_EXCL: nor can it be given a name later (open(2))
	f, err := os.OpenFile(p.dir, unix.O_TMPFILE|os.O_RDWR|os.O_EXCL, 0o600)
	if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EISDIR) { // a file system without O_TMPFILE
		return p.createNamed()
	}
	if err != nil {
		return nil, fmt.Errorf("session: spool file: %w", err)
	}
	return f, nil
}

// createNamed is create for a file system without O_TMPFILE: the file has a name for a moment.
func (p *spools) createNamed() (*os.File, error) {
	f, err := os.CreateTemp(p.dir, ".roost-spool-*") // mode 0600
	if err != nil {
		return nil, fmt.Errorf("session: spool file: %w", err)
	}
	if err := os.Remove(f.Name()); err != nil {
		f.Close()
		return nil, fmt.Errorf("session: spool file: %w", err)
	}
	return f, nil
}

// release gives sp back: its file is closed, on a goroutine of its own unless mayWait, since
// freeing a large file takes long.
func (p *spools) release(sp *spool, mayWait bool) {
	for _, b := range sp.bodies {
		if b.memory != nil {
			b.memory.release()
		}
	}
	done := func() {
		if sp.file != nil {
			_ = sp.file.Close() // nothing in it is needed
		}
		if sp.reserved > 0 {
			p.files.Add(-1)
		}
		p.bytes.Add(-sp.reserved)
	}
	if mayWait || sp.file == nil {
		done()
		return
	}
	p.closing.Go(done) // ends by itself; Engine.Close waits for it
}

// body decides where a body will be, if the limits allow it.
func (s *Session) body(fr imapwire.Frame, lim imapwire.FrameLimits) bool {
	c := &s.e.cfg
	if fr.Size > uint64(c.MaxMessage) {
		s.refuse(RefuseMessageTooLarge, fr.N, limitMessage)
		return false
	}
	x := s.extra()
	if x.spool == nil {
		x.spool = new(spool)
	}
	sp := x.spool
	b := Body{At: fr.N, Size: fr.Size, off: sp.end}
	if fr.Size <= uint64(c.SpoolAbove) && lim.Fits(fr) {
		b.Kept = int(fr.Size)
		s.framer.Accept()
	} else if b.memory = s.e.spools.memory.take(fr.Size); b.memory != nil {
		s.framer.Spool()
	} else {
		if limit := s.e.spools.reserve(sp, int64(fr.Size)); limit != "" {
			s.e.refusals.spool.hit(s, limit)
			s.e.p.Refuse(s, RefuseSpoolFull, s.in[:min(fr.N, refusedHead)], limit)
			return false
		}
		s.framer.Spool()
	}
	sp.bodies = append(sp.bodies, b)
	return true
}

// spooling reports whether octets of a body in a file are still to come.
func (s *Session) spooling() bool {
	left, _ := s.framer.Spooling()
	return left > 0
}

// spoolPiece moves what has arrived of a body to its file or memory, on a worker: a write may wait for the disk. What is
// read here ends with the body at the latest, so that none of it goes through the input.
func (s *Session) spoolPiece() (more bool, v verdict) {
	left, head := s.framer.Spooling()
	buffered := len(s.in) > head
	switch {
	case !buffered && s.r.todo&todoRead == 0:
		return false, turnSleep
	case s.w == nil:
		return false, turnWorker
	}
	s.jobs++
	s.keepInput() // out of the scratch buffer
	piece, memory := s.in[head:], s.x.spool.arriving()
	switch {
	case buffered:
	case memory != nil:
		piece = memory.room()
	default:
		piece = s.scratch
	}
	piece = piece[:min(uint64(len(piece)), left)]
	if !buffered {
		if piece = piece[:s.receive(piece)]; len(piece) == 0 {
			return true, 0
		}
	}
	if s.r.flags&flagClosing == 0 {
		s.r.giveUp = 0
	}
	var err error
	if !buffered && memory != nil {
		memory.filled(len(piece))
	} else {
		err = s.e.spools.write(s.x.spool, piece)
	}
	s.framer.Took(len(piece))
	if buffered {
		s.in = slices.Delete(s.in, head, head+len(piece))
	}
	if err != nil {
		s.spoolFailed(head, err)
	}
	return true, 0
}

// stall gives the client of a body or of a TLS record that is not complete a time to send on: others may wait for the room
// that it takes.
func (s *Session) stall() {
	if s.r.giveUp == 0 && (s.spooling() || s.tls.partial()) {
		s.r.giveUp = s.e.after(s.e.cfg.SlowClientTimeout)
	}
}

// spoolFailed refuses a command in the middle of a body. What the client sends of it is dropped.
func (s *Session) spoolFailed(head int, err error) {
	s.e.refusals.spoolFailed.hit(s, limitSpoolDir, "error", err)
	s.e.p.Refuse(s, RefuseSpoolFailed, s.in[:min(head, refusedHead)], limitSpoolDir)
	s.framer.Refuse(true)
	s.drop(head)
	s.r.todo |= todoInput
}

// dropSpool gives the bodies of the session's command back.
func (s *Session) dropSpool() {
	if s.x != nil && s.x.spool != nil {
		s.e.spools.release(s.x.spool, s.w != nil)
		s.x.spool = nil
	}
}

// check tells whether spool files can be made.
func (p *spools) check() error {
	f, err := p.create()
	if err != nil {
		return err
	}
	return f.Close()
}

// Bodies returns the literals that were spooled so far, in the order of the command. In Protocol.Literal these are those
// before the one that is asked about. Valid only during the call.
func (s *Session) Bodies() []Body {
	if s.x == nil {
		return nil
	}
	return s.x.bodies()
}

func (x *extra) bodies() []Body {
	if x.spool == nil {
		return nil
	}
	return x.spool.bodies
}

// OpenBody returns a reader of the octets of Bodies()[i]. It is for Protocol.Run, and must not be used after that has returned.
func (s *Session) OpenBody(i int) io.Reader {
	b := s.Bodies()[i]
	if uint64(b.Kept) == b.Size {
		return bytes.NewReader(s.in[b.At:][:b.Kept]) // the command is at the front of the input
	}
	if b.memory != nil {
		return &memoryReader{m: b.memory}
	}
	return io.NewSectionReader(s.x.spool.file, b.off, int64(b.Size))
}
