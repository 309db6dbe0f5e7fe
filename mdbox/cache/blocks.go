package cache

import (
	"container/list"
	"io"

	"github.com/roostmail/roost/mdbox/vfs"
)

// blockSize is the unit in which files are read and kept, in bytes.
const blockSize = 256 << 10

// block is a piece of a file, from number*blockSize on. The last one of a file is
// shorter, and replaced by a longer one when the file has grown: data itself
// never changes, so that readers may keep slices of it.
type block struct {
	file   *File
	number uint32
	data   []byte
	elem   *list.Element // in Files.blocks
}

// block returns the data of a block of f, at least need bytes of it.
func (s *Files) block(f *File, number uint32, need int) ([]byte, error) {
	old := s.known(f, number)
	if len(old) >= need {
		return old, nil
	}
	data, err := f.readBlock(number, old)
	if err != nil {
		return nil, err
	}
	if len(data) < need {
		return nil, vfs.At(vfs.Corrupt(int64(number)*blockSize+int64(need), "cache record lies inside the file"), f.Path(), 0)
	}
	s.keepBlock(f, number, data)
	return data, nil
}

// known returns what is kept of a block of f.
func (s *Files) known(f *File, number uint32) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := f.blocks[number]
	if b == nil {
		return nil
	}
	s.blocks.MoveToFront(b.elem)
	return b.data
}

// readBlock reads a block of which the bytes of old are known.
func (f *File) readBlock(number uint32, old []byte) ([]byte, error) {
	st, err := f.file.Stat()
	if err != nil {
		return nil, err
	}
	start := int64(number) * blockSize
	size := min(st.Size-start, blockSize)
	if size <= int64(len(old)) {
		return old, nil
	}
	data := make([]byte, size)
	n := copy(data, old)
	k, err := f.file.ReadAt(data[n:], start+int64(n))
	if err == io.EOF {
		err = nil
	}
	return data[:n+k], err
}

// keepBlock puts a block in front of the kept ones and lets the oldest go.
func (s *Files) keepBlock(f *File, number uint32, data []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f.users == 0 {
		return // closed meanwhile
	}
	if old := f.blocks[number]; old != nil {
		s.removeBlock(old)
	}
	b := &block{file: f, number: number, data: data}
	b.elem = s.blocks.PushFront(b)
	f.blocks[number] = b
	s.memory += int64(len(data))
	for s.memory > s.cfg.MaxMemory {
		s.removeBlock(s.blocks.Back().Value.(*block))
	}
}

// removeBlock forgets a block. s.mu is held.
func (s *Files) removeBlock(b *block) {
	s.blocks.Remove(b.elem)
	delete(b.file.blocks, b.number)
	s.memory -= int64(len(b.data))
}
