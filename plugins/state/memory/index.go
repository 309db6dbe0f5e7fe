package memory

import (
	"iter"
	"slices"
	"sort"
)

// leafNames is the most names of a leaf.
const leafNames = 512

// index holds names in their order: a list of leaves, none of them empty, each sorted, and all names of one less than those of the next. To add or remove a
// name moves a leaf's names at most, and now and then the list of leaves. The zero value is empty.
type index struct{ leaves [][]string }

// leaf returns the number of the leaf in which name is, or would be; it may be that of no leaf if there is none.
func (x *index) leaf(name string) int {
	n := sort.Search(len(x.leaves), func(i int) bool { return x.leaves[i][0] > name })
	return max(n-1, 0)
}

// add puts in a name that is not there.
func (x *index) add(name string) {
	if len(x.leaves) == 0 {
		x.leaves = [][]string{{name}}
		return
	}
	l := x.leaf(name)
	at, _ := slices.BinarySearch(x.leaves[l], name)
	names := slices.Insert(x.leaves[l], at, name)
	if len(names) > leafNames {
		half := len(names) / 2
		x.leaves = slices.Insert(x.leaves, l+1, slices.Clone(names[half:]))
		clear(names[half:])
		names = names[:half]
	}
	x.leaves[l] = names
}

// remove takes out a name.
func (x *index) remove(name string) {
	if len(x.leaves) == 0 {
		return
	}
	l := x.leaf(name)
	at, found := slices.BinarySearch(x.leaves[l], name)
	if !found {
		return
	}
	x.leaves[l] = slices.Delete(x.leaves[l], at, at+1)
	if len(x.leaves[l]) == 0 {
		x.leaves = slices.Delete(x.leaves, l, l+1)
	}
}

// from returns the names that are not less than name, in their order. The index must not change meanwhile.
func (x *index) from(name string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for l := x.leaf(name); l < len(x.leaves); l++ {
			at, _ := slices.BinarySearch(x.leaves[l], name)
			for _, n := range x.leaves[l][at:] {
				if !yield(n) {
					return
				}
			}
		}
	}
}
