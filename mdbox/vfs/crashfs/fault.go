package crashfs

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Kind is a kind of operation. Close is none, since it does not fail.
type Kind uint32

// Kinds of operations. Sums of them are sets.
const (
	Stat Kind = 1 << iota // of a name or an open file
	Open
	ReadDir
	Read
	OpenWrite
	Mkdir
	Rename
	Link
	Remove
	SyncDir
	Write
	Truncate
	Allocate
	Sync
	SetOwner
	Lock
	Unlock

	// Reads change nothing.
	Reads = Stat | Open | ReadDir | Read
	// Writes change files, may do so, or make a change durable.
	Writes = OpenWrite | Mkdir | Rename | Link | Remove | SyncDir | Write | Truncate | Allocate | Sync | SetOwner
	// All are all.
	All = Reads | Writes | Lock | Unlock
)

var kindNames = []string{
	"stat", "open", "readdir", "read", "openwrite", "mkdir", "rename", "link", "remove", "syncdir", "write", "truncate",
	"allocate", "sync", "setowner", "lock", "unlock",
}

func (k Kind) String() string {
	var names []string
	for i, name := range kindNames {
		if k&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return strings.Join(names, "|")
}

// What is a way to fail.
type What uint8

// Ways to fail.
const (
	// IOError lets one operation fail with EIO. It has no effect.
	IOError What = iota
	// Short lets one operation find the disk full: a write writes half of what it should and fails with ENOSPC, what needs
	// space for a name or reserves some fails with ENOSPC, and others succeed.
	Short
	// Full is Short, and from then on nothing finds space. Writes over what is there succeed.
	Full
	// PowerCut lets the operation and all that follow fail with ErrPowerCut, without effect.
	PowerCut
)

func (w What) String() string {
	return [...]string{"I/O error", "short write", "full disk", "power cut"}[w]
}

// ErrPowerCut is the error of all operations after a PowerCut.
var ErrPowerCut = errors.New("power cut")

// Fault says which operation shall fail, and how.
type Fault struct {
	N    int  // the N-th operation from now, from 1; 0: none
	Of   Kind // among these kinds; 0: Writes
	What What
}

func (f Fault) String() string {
	if f.N == 0 {
		return "no fault"
	}
	return fmt.Sprintf("%v at operation %d", f.What, f.N)
}

// Inject replaces the fault that is to happen, and starts to count operations from 0.
func (f *FS) Inject(fault Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if fault.Of == 0 {
		fault.Of = Writes
	}
	f.fault, f.seen, f.hit = fault, 0, false
}

// Hit reports whether the fault has happened.
func (f *FS) Hit() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.hit
}

// Count returns how many operations of the kinds there were since the file system was made, or made by After.
func (f *FS) Count(of Kind) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 0
	for _, op := range f.trace {
		if op.Kind&of != 0 {
			n++
		}
	}
	return n
}

// Op is an operation that there was.
type Op struct {
	Kind     Kind
	Path, To string
	Off      int64 // of Read and Write where they begin; of Truncate and Allocate the size
	Len      int   // of Read and Write, in bytes
	Err      error
}

func (o Op) String() string {
	s := o.Kind.String() + " " + o.Path
	if o.To != "" {
		s += " -> " + o.To
	}
	if o.Kind&(Read|Write|Truncate|Allocate) != 0 {
		s += fmt.Sprintf(" at %d", o.Off)
	}
	if o.Kind&(Read|Write) != 0 {
		s += fmt.Sprintf(", %d bytes", o.Len)
	}
	if o.Err != nil {
		s += ": " + o.Err.Error()
	}
	return s
}

// Trace returns the operations of the kinds so far, the oldest first.
func (f *FS) Trace(of Kind) []Op {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(f.trace), func(op Op) bool { return op.Kind&of == 0 })
}

// TraceString is Trace with an operation a line, for messages of tests.
func (f *FS) TraceString(of Kind) string {
	var b strings.Builder
	for i, op := range f.Trace(of) {
		fmt.Fprintf(&b, "%4d  %v\n", i+1, op)
	}
	return b.String()
}

// do counts an operation, and carries it out if it is not to fail.
func (f *FS) do(op *Op, do func() error) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	err := f.next(op.Kind)
	if err == nil {
		err = do()
	}
	f.short = false
	if err != nil {
		op.Err = err
		err = &fs.PathError{Op: op.Kind.String(), Path: op.Path, Err: err}
	}
	f.trace = append(f.trace, *op)
	return err
}

// next is the fault that the next operation meets before it does something.
func (f *FS) next(kind Kind) error {
	if f.hit && f.fault.What == PowerCut {
		return ErrPowerCut
	}
	if kind&f.fault.Of == 0 {
		return nil
	}
	f.seen++
	if f.seen != f.fault.N {
		return nil
	}
	f.hit = true
	switch f.fault.What {
	case IOError:
		return unix.EIO
	case PowerCut:
		return ErrPowerCut
	}
	f.short = true
	return nil
}

// space fails if the disk is full.
func (f *FS) space() error {
	if f.short || f.hit && f.fault.What == Full {
		return unix.ENOSPC
	}
	return nil
}

// room returns how many of size bytes can be written at off.
func (f *FS) room(n *node, off, size int) int {
	switch {
	case f.short:
		return size / 2
	case f.space() != nil:
		return min(size, max(0, len(n.data)-off))
	}
	return size
}
