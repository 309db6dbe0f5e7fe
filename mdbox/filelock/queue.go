package filelock

import (
	"context"
	"sync"
)

// queues lets one goroutine at a time deal with a path, in order of arrival.
type queues struct {
	mu    sync.Mutex
	paths map[string][]chan struct{} // who deals with the path, then who waits; a channel is closed when it is its turn
}

// enter waits until it is the caller's turn, or ctx ends. If it is free, it is entered even if ctx has ended. leave must
// be called once.
func (q *queues) enter(ctx context.Context, path string) (leave func(), err error) {
	turn, first := q.join(path)
	if !first {
		select {
		case <-turn:
		case <-ctx.Done():
			q.leave(path, turn)
			return nil, context.Cause(ctx)
		}
	}
	return func() { q.leave(path, turn) }, nil
}

func (q *queues) join(path string) (turn chan struct{}, first bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.paths == nil {
		q.paths = make(map[string][]chan struct{})
	}
	turn = make(chan struct{})
	q.paths[path] = append(q.paths[path], turn)
	return turn, len(q.paths[path]) == 1
}

// leave takes turn out of the queue, wherever in it it is.
func (q *queues) leave(path string, turn chan struct{}) {
	q.mu.Lock()
	defer q.mu.Unlock()
	waiting := q.paths[path]
	for i, t := range waiting {
		if t != turn {
			continue
		}
		waiting = append(waiting[:i], waiting[i+1:]...)
		if len(waiting) == 0 {
			delete(q.paths, path)
			return
		}
		q.paths[path] = waiting
		if i == 0 {
			close(waiting[0])
		}
		return
	}
}
