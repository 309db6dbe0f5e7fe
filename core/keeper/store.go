package keeper

import (
	"fmt"
	"slices"
	"sync"

	"golang.org/x/sys/unix"
)

// pageSlots is how many slots one page of the store has.
const pageSlots = 4096

// maxSlot bounds the slots that a core may name.
const maxSlot = 1 << 28

// slot holds a duplicate.
type slot struct {
	gen uint32
	fd  int32 // + 1; 0 = none
}

// store is everything that the keeper holds.
type store struct {
	mu        sync.Mutex
	pages     []*[pageSlots]slot
	held      int
	tables    tablesNote
	tableFDs  []int
	listeners []listener
}

// listener is a listening socket.
type listener struct {
	key string
	fd  int
}

// hold takes over a duplicate for each handle: slot in the low 32 bits, generation in the high ones. One that is held for the slot is closed.
func (s *store) hold(handles []uint64, fds []int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, h := range handles {
		n, gen := uint32(h), uint32(h>>32)
		if n >= maxSlot {
			for _, fd := range fds[i:] {
				unix.Close(fd)
			}
			return fmt.Errorf("%w: slot %d", errPacket, n)
		}
		for int(n/pageSlots) >= len(s.pages) {
			s.pages = append(s.pages, nil)
		}
		page := s.pages[n/pageSlots]
		if page == nil {
			page = new([pageSlots]slot)
			s.pages[n/pageSlots] = page
		}
		at := &page[n%pageSlots]
		if at.fd != 0 {
			unix.Close(int(at.fd - 1))
		} else {
			s.held++
		}
		*at = slot{gen, int32(fds[i]) + 1}
	}
	return nil
}

// drop closes what is held for the handles.
func (s *store) drop(handles []uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, h := range handles {
		n := uint32(h)
		if int(n/pageSlots) >= len(s.pages) || s.pages[n/pageSlots] == nil {
			continue
		}
		at := &s.pages[n/pageSlots][n%pageSlots]
		if at.fd != 0 && at.gen == uint32(h>>32) {
			unix.Close(int(at.fd - 1))
			*at = slot{}
			s.held--
		}
	}
}

// each calls f with batches of what is held, which nobody changes meanwhile, until it fails.
func (s *store) each(f func(handles []uint64, fds []int) error) error {
	var handles []uint64
	var fds []int
	for i := 0; ; i++ {
		s.mu.Lock()
		if i >= len(s.pages) {
			s.mu.Unlock()
			break
		}
		page := s.pages[i]
		s.mu.Unlock()
		if page == nil {
			continue
		}
		for j, at := range page {
			if at.fd == 0 {
				continue
			}
			handles = append(handles, uint64(i*pageSlots+j)|uint64(at.gen)<<32)
			fds = append(fds, int(at.fd-1))
			if len(fds) == MaxFDs {
				if err := f(handles, fds); err != nil {
					return err
				}
				handles, fds = handles[:0], fds[:0]
			}
		}
	}
	if len(fds) > 0 {
		return f(handles, fds)
	}
	return nil
}

// setTables takes over the tables' descriptors.
func (s *store) setTables(t tablesNote, fds []int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, fd := range s.tableFDs {
		unix.Close(fd)
	}
	t.State = slices.Clone(t.State)
	s.tables, s.tableFDs = t, slices.Clone(fds)
}

// addListener takes over a listening socket, in the place of one with the same key.
func (s *store) addListener(key string, fd int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.listeners {
		if s.listeners[i].key == key {
			unix.Close(s.listeners[i].fd)
			s.listeners[i].fd = fd
			return
		}
	}
	s.listeners = append(s.listeners, listener{key, fd})
}

// keepListeners closes all others.
func (s *store) keepListeners(keys []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.listeners = slices.DeleteFunc(s.listeners, func(l listener) bool {
		if slices.Contains(keys, l.key) {
			return false
		}
		unix.Close(l.fd)
		return true
	})
}

// forget closes everything about sessions.
func (s *store) forget() {
	s.setTables(tablesNote{}, nil)
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, page := range s.pages {
		if page == nil {
			continue
		}
		for _, at := range page {
			if at.fd != 0 {
				_ = unix.Shutdown(int(at.fd-1), unix.SHUT_RDWR) // it fails when the connection is gone
				unix.Close(int(at.fd - 1))
			}
		}
	}
	s.pages, s.held = nil, 0
}

// inherits reports whether there are tables for a next core.
func (s *store) inherits() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.tableFDs) > 0
}

// count returns how many descriptors of sessions are held.
func (s *store) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.held
}
