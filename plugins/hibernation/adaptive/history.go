package adaptive

import "time"

// record is what is remembered of a mailbox or a user.
type record struct {
	key   uint64 // 0 = free
	used  int64  // end of the last use, in milliseconds of core's clock
	mean  uint32 // of the pauses, in milliseconds
	dev   uint32 // mean distance of a pause from mean, in milliseconds
	known uint8  // pauses, at most 255
}

// ways is how many places a key may be at. Of these the record that was not used for longest makes room.
const ways = 4

// history is a table of a fixed size: a record is at one of the places of its key's set.
type history struct {
	records []record // a multiple of ways; nil = nothing is remembered
}

func newHistory(size int) history {
	if size <= 0 {
		return history{}
	}
	return history{make([]record, (size+ways-1)/ways*ways)}
}

// find returns the record of a key, nil if there is none.
func (h *history) find(key uint64) *record {
	set := h.set(&key)
	for i := range set {
		if set[i].key == key {
			return &set[i]
		}
	}
	return nil
}

// make returns the record of a key, perhaps a fresh one; nil if nothing is remembered.
func (h *history) make(key uint64) (r *record, fresh bool) {
	set := h.set(&key)
	if set == nil {
		return nil, false
	}
	oldest := &set[0]
	for i := range set {
		r := &set[i]
		if r.key == key {
			return r, false
		}
		if oldest.key != 0 && (r.key == 0 || r.used < oldest.used) {
			oldest = r
		}
	}
	*oldest = record{key: key}
	return oldest, true
}

// set returns the places of a key, which it makes other than 0.
func (h *history) set(key *uint64) []record {
	if h.records == nil {
		return nil
	}
	if *key == 0 {
		*key = 1
	}
	n := uint64(len(h.records) / ways)
	at := mix(*key) % n * ways
	return h.records[at : at+ways]
}

// mix spreads the bits of a key over all of them (the finalizer of MurmurHash3).
func mix(k uint64) uint64 {
	k = (k ^ k>>33) * 0xff51afd7ed558ccd
	k = (k ^ k>>33) * 0xc4ceb9fe1a85ec53
	return k ^ k>>33
}

// userKey makes the key of a user, which is none of a mailbox's.
func userKey(user uint64) uint64 { return mix(user ^ 0x757365725f6b6579) }

// burst is the shortest pause. Uses that are closer belong to one burst of commands.
const burst = time.Second

// learn adds a pause.
func (r *record) learn(pause uint32) {
	if r.known == 0 {
		r.mean, r.dev, r.known = pause, pause/2, 1
		return
	}
	distance := max(pause, r.mean) - min(pause, r.mean)
	r.dev = weigh(r.dev, distance)
	r.mean = weigh(r.mean, pause)
	r.known = min(r.known, 254) + 1
}

// weigh moves an average by a quarter of the way to a new value.
func weigh(average, value uint32) uint32 { return uint32((3*uint64(average) + uint64(value)) / 4) }

// enough is how many pauses must be known before anything is expected of them.
const enough = 2

// expected returns how long after a use the next one is expected at the latest; false if nothing is known.
func (r *record) expected() (time.Duration, bool) {
	if r == nil || r.known < enough {
		return 0, false
	}
	return (time.Duration(r.mean) + 2*time.Duration(r.dev)) * time.Millisecond, true
}
