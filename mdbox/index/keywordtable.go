package index

import "strings"

// keywordTable is the keywords of an index by number. The header data of the
// extension is made from it at the end of a refresh.
type keywordTable struct {
	names     []string
	numbers   map[string]int // by keywordKey; nil until the first add
	nameBytes int            // of the names with their NULs
	changed   bool           // since the header data was made
}

func newKeywordTable(names []string) keywordTable {
	t := keywordTable{names: names}
	for _, n := range names {
		t.nameBytes += len(n) + 1
	}
	return t
}

// number returns the number of a keyword, and whether it is new and has just
// been given that number. The first spelling of a name stays.
func (t *keywordTable) number(name string) (k int, added bool) {
	if t.numbers == nil {
		t.numbers = make(map[string]int, len(t.names)+1)
		for i := len(t.names) - 1; i >= 0; i-- {
			t.numbers[keywordKey(t.names[i])] = i
		}
	}
	key := keywordKey(name)
	if k, ok := t.numbers[key]; ok {
		return k, false
	}
	k = len(t.names)
	t.numbers[key] = k
	t.names = append(t.names, strings.Clone(name))
	t.nameBytes += len(name) + 1
	t.changed = true
	return k, true
}
