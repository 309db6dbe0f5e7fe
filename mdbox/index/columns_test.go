package index

import (
	"fmt"
	"slices"
	"testing"
)

func TestColumnsEqualSingleMessages(t *testing.T) {
	for _, names := range []int{0, 1, 7, 8, 63, 64, 65, 130} {
		for _, size := range []uint16{0, 1, 4, 8, 9, 17} {
			s := newState(1, DefaultMaxStateBytes)
			s.uids, s.flags = []uint32{1, 2, 5}, make([]uint8, 3)
			for k := range names {
				s.keywords.names = append(s.keywords.names, fmt.Sprint("k", k))
			}
			if size > 0 {
				s.addExt(&ExtHeader{Name: extKeywords, RecordSize: size, RecordAlign: 1})
				for i := range s.keywordExt.column.b {
					s.keywordExt.column.b[i] = 0xff // also bits of keywords without name
				}
			}
			words := s.KeywordWords()
			var want []uint64
			for i := range s.uids {
				want = s.AppendKeywords(want, i, words)
			}
			got := s.AppendKeywordColumn(nil)
			if !slices.Equal(got, want) {
				t.Errorf("%d names, %d bytes: column %x, one by one %x", names, size, got, want)
			}
			if s.FewKeywords() != (names > 0 && names <= 8) {
				t.Errorf("%d names are few: %v", names, s.FewKeywords())
			}
			if s.FewKeywords() {
				low := s.AppendLowKeywordColumn([]uint8{0xff})
				for i, w := range append([]uint64{0xff}, want...) {
					if uint64(low[i]) != w || len(low) != 1+len(want) {
						t.Errorf("%d names, %d bytes: low column %x, words %x", names, size, low, want)
						break
					}
				}
			}
			for i, w := range got {
				for bit := range 64 {
					k := i%max(words, 1)*64 + bit
					if set := w>>bit&1 != 0; set != (k < names && k < int(size)*8) {
						t.Errorf("%d names, %d bytes: keyword %d is %v", names, size, k, set)
					}
				}
			}
		}
	}
}
