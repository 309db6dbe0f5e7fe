package mdbox

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/roostmail/roost/mdbox/filelock"
	"github.com/roostmail/roost/mdbox/index"
	"github.com/roostmail/roost/mdbox/mapindex"
)

// lockedMap is the map while this process holds the lock of its log (MAP), and this goroutine Store.writer.
type lockedMap struct {
	*mapindex.Locked
	store *Store
}

// lockMap takes MAP, the commit lock of the store. A store without a map gets one. If the process that changed the
// map last died before it was done, its changes are brought to an end first (recover).
func (s *Store) lockMap(ctx context.Context) (*lockedMap, error) {
	w, err := s.mapWriting()
	if err != nil {
		return nil, err
	}
	select {
	case s.writer <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	l, err := s.lockMapFile(ctx, w)
	if l == nil {
		<-s.writer
		return nil, fmt.Errorf("mdbox: lock map: %w", err)
	}
	m := &lockedMap{l, s}
	if err == nil {
		err = l.Check()
	} else if errors.Is(err, mapindex.ErrUnfinished) {
		err = s.recover(ctx, m)
	}
	if err == nil {
		s.afterDeath(ctx, m)
	}
	if err != nil {
		m.unlock()
		return nil, fmt.Errorf("mdbox: lock map: %w", err)
	}
	return m, nil
}

// lockMapFile opens the map, or makes one, and locks it. Store.writer is held.
func (s *Store) lockMapFile(ctx context.Context, w *index.Writing) (*mapindex.Locked, error) {
	o := index.Options{FS: s.options.FS, MaxStateBytes: s.options.MaxStateBytes}
	if s.writeMap == nil {
		m, err := mapindex.Open(s.location.mapDir(), o)
		if errors.Is(err, fs.ErrNotExist) {
			return s.createMap(ctx, o, w)
		}
		if err != nil {
			return nil, err
		}
		s.writeMap = m
	}
	l, err := s.writeMap.Lock(ctx, w)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, index.ErrDeleted) {
		s.writeMap = nil // it is gone: the next call makes another one
	}
	return l, err
}

func (s *Store) createMap(ctx context.Context, o index.Options, w *index.Writing) (*mapindex.Locked, error) {
	for _, dir := range []string{s.location.mapDir(), s.location.storageDir()} {
		if err := s.makeDirs(dir); err != nil {
			return nil, err
		}
	}
	m, l, err := mapindex.Create(ctx, s.location.mapDir(), o, w)
	if l != nil {
		s.writeMap = m
	}
	return l, err
}

// withMap runs change with MAP, and then says that the map is finished. What change, or that, has left unfinished because of an
// error is brought to an end as if the process had died. The error is that of change: what it has done is done.
func (s *Store) withMap(ctx context.Context, change func(m *lockedMap) error) error {
	m, err := s.lockMap(ctx)
	if err != nil {
		return err
	}
	if err = change(m); err == nil {
		s.report("finish a change of the map", m.Finish())
	} else if !refused(err) {
		s.recount.Store(true) // what was cut off may have left counts that are too high
	}
	if m.Settled() {
		m.unlock()
		return err
	}
	// Under the same lock, so that no Dovecot sees it and rebuilds the store; unless it is the map that can not be written.
	left := s.recover(context.WithoutCancel(ctx), m)
	m.unlock()
	if left != nil {
		s.settle(ctx)
	}
	return err
}

// refused reports whether a change failed before it had done anything.
func refused(err error) bool {
	for _, e := range []error{ErrNotFound, ErrNotInitialised, ErrReadOnly, filelock.ErrTimeout, context.Canceled, context.DeadlineExceeded} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// settle takes MAP once more, which ends changes that an error has cut off. If that is not possible now, whoever takes it next does it.
func (s *Store) settle(ctx context.Context) {
	m, err := s.lockMap(context.WithoutCancel(ctx))
	s.report("finish an interrupted change of the map", err)
	if err == nil {
		m.unlock()
	}
}

// unlock gives MAP back.
func (m *lockedMap) unlock() {
	m.store.report("unlock map", m.Locked.Unlock())
	<-m.store.writer
}

// report tells the administrator about an error that does not concern what the caller wanted. nil is none.
func (s *Store) report(what string, err error) {
	if err != nil {
		s.options.Report(fmt.Errorf("mdbox: %s: %s: %w", s.location.Root, what, err))
	}
}
