package mailbox

// delta is the step from one version of a mailbox to the next, as the journal keeps it.
type delta struct {
	expunged []record // ascending; as they last were
	flagged  []uint32 // UIDs of older messages whose flags changed, ascending
	touched  []uint32 // UIDs of older messages of which only the modseq changed, ascending
	all      bool     // instead of these two: flags and modseq of any older message may have changed

	limits // of the version before
}

// size is about what a delta costs in memory, in bytes.
func (d *delta) size() int {
	return 128 + 16*len(d.expunged) + 4*len(d.flagged) + 4*len(d.touched)
}

// coarsen makes a delta smaller that says too much, and returns by how many bytes.
func (d *delta) coarsen() int {
	before := d.size()
	if len(d.flagged)+len(d.touched) > 0 {
		d.flagged, d.touched, d.all = nil, nil, true
	}
	return before - d.size()
}

// deltaFrom notes the limits of the version before.
func deltaFrom(v *View) *delta {
	return &delta{limits: limits{uidNext: v.UIDNext, firstRecent: v.FirstRecent, highestModSeq: v.HighestModSeq, keywords: len(v.Keywords)}}
}

// changes reports whether the step from v to next is one: whether next has to be a version of its own.
func (d *delta) changes(next *View, appended bool) bool {
	return appended || len(d.expunged) > 0 || len(d.flagged) > 0 || len(d.touched) > 0 || d.all ||
		d.uidNext != next.UIDNext || d.firstRecent != next.FirstRecent ||
		d.highestModSeq != next.HighestModSeq || d.keywords != len(next.Keywords)
}
