package memory

import "time"

// expiry is a heap of the items that expire, the earliest first (container/heap).
type expiry []*item

func (e expiry) Len() int           { return len(e) }
func (e expiry) Less(i, k int) bool { return e[i].ends.Before(e[k].ends) }
func (e expiry) Swap(i, k int) {
	e[i], e[k] = e[k], e[i]
	e[i].at, e[k].at = i, k
}

// Push implements heap.Interface.
func (e *expiry) Push(x any) {
	i := x.(*item)
	i.at = len(*e)
	*e = append(*e, i)
}

// Pop implements heap.Interface.
func (e *expiry) Pop() any {
	last := len(*e) - 1
	i := (*e)[last]
	(*e)[last] = nil
	*e = (*e)[:last]
	i.at = -1
	return i
}

// expire removes keys when their time ends, so that watches hear of it, until s.stop is closed.
func (p *Plugin) expire(s *store) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-s.stop:
			return
		case <-timer.C:
		case <-s.earlier:
		}
		p.mu.Lock()
		now := s.clean()
		if len(s.expiry) > 0 {
			timer.Reset(max(s.expiry[0].ends.Sub(now), pace))
		}
		p.mu.Unlock()
	}
}

// pace is the shortest time between two rounds of expire: keys that end shortly after each other are removed together.
const pace = 100 * time.Millisecond
