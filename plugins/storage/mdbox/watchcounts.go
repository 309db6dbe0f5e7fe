package mdbox

// watchCounts counts the uses of watches. There is a watch for each mailbox that somebody sleeps at, and nearly all have one use;
// the kernel numbers them one after the other: so that is a bit for each, and a number only for the others.
type watchCounts struct {
	watches int
	used    map[int32]uint64 // bit wd%64 of word wd/64
	more    map[int32]uint32 // uses beyond the first, of those that have more than one
}

func newWatchCounts() watchCounts {
	return watchCounts{used: map[int32]uint64{}, more: map[int32]uint32{}}
}

// add counts a use of a watch, whose number is not negative.
func (c *watchCounts) add(wd int32) {
	if word, bit := wd/64, uint64(1)<<(wd%64); c.used[word]&bit == 0 {
		c.used[word] |= bit
		c.watches++
		return
	}
	c.more[wd]++
}

// remove takes back a use, and reports whether it was the last one. Without a use nothing happens.
func (c *watchCounts) remove(wd int32) (last bool) {
	if wd < 0 {
		return false
	}
	word, bit := wd/64, uint64(1)<<(wd%64)
	if c.used[word]&bit == 0 {
		return false
	}
	switch n := c.more[wd]; {
	case n > 1:
		c.more[wd] = n - 1
		return false
	case n == 1:
		delete(c.more, wd)
		return false
	}
	if c.used[word] &^= bit; c.used[word] == 0 {
		delete(c.used, word)
	}
	c.watches--
	return true
}
