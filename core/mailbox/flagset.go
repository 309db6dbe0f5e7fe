package mailbox

import (
	"math/bits"
	"sync/atomic"

	"github.com/roostmail/roost/core/backend"
)

// FlagSetID stands for one combination of flags and keywords in one mailbox.
type FlagSetID uint32

// FlagSet is one combination of system flags and keywords. It never changes.
type FlagSet struct {
	System   uint8    // backend.FlagSeen …
	Keywords []uint64 // bit k%64 of word k/64: the keyword View.Keywords[k]; no zero words at the end

	text, recent string
}

// Text returns the flags as in a FLAGS list, without parentheses: `\Seen $Work`;
// with \Recent if recent is set.
func (f *FlagSet) Text(recent bool) string {
	if recent {
		return f.recent
	}
	return f.text
}

// HasKeyword reports whether keyword number k is set.
func (f *FlagSet) HasKeyword(k int) bool {
	return k >= 0 && k/64 < len(f.Keywords) && f.Keywords[k/64]&(1<<(k%64)) != 0
}

// systemFlags is in the order in which Dovecot writes them.
var systemFlags = []struct {
	bit  uint8
	name string
}{
	{backend.FlagAnswered, `\Answered`},
	{backend.FlagFlagged, `\Flagged`},
	{backend.FlagDeleted, `\Deleted`},
	{backend.FlagSeen, `\Seen`},
	{backend.FlagDraft, `\Draft`},
}

const allSystemFlags = backend.FlagAnswered | backend.FlagFlagged | backend.FlagDeleted | backend.FlagSeen | backend.FlagDraft

// flagTable interns the flag sets of one mailbox. Reading sets is safe at any
// time; everything else is guarded by Mailbox.mu.
type flagTable struct {
	sets atomic.Pointer[[]FlagSet] // by FlagSetID; only ever appended to

	pending  []FlagSet // sets with those not yet published
	plain    [allSystemFlags + 1]FlagSetID
	byKey    map[flagKey]FlagSetID // sets with keywords
	keywords []string              // only ever appended to
}

// flagKey is a set with keywords: word 0 and, rarely, the other words' bytes.
type flagKey struct {
	system uint8
	first  uint64
	more   string
}

func newFlagTable() *flagTable {
	t := &flagTable{byKey: map[flagKey]FlagSetID{}}
	for f := range t.plain {
		t.plain[f] = t.add(FlagSet{System: uint8(f)})
	}
	t.publish()
	return t
}

// get returns the set of an id that intern returned before publish.
func (t *flagTable) get(id FlagSetID) *FlagSet {
	return &(*t.sets.Load())[id]
}

// publish lets readers see what was interned.
func (t *flagTable) publish() {
	if s := t.sets.Load(); s == nil || len(*s) != len(t.pending) {
		sets := t.pending
		t.sets.Store(&sets)
	}
}

// intern returns the id of a set. kw is not retained. Unknown bits of both are ignored.
func (t *flagTable) intern(system uint8, kw []uint64) FlagSetID {
	system &= allSystemFlags
	kw = t.known(kw)
	if len(kw) == 0 {
		return t.plain[system]
	}
	key := flagKey{system: system, first: kw[0]}
	if len(kw) > 1 {
		more := make([]byte, 0, 8*len(kw))
		for _, w := range kw[1:] {
			for s := 0; s < 64; s += 8 {
				more = append(more, byte(w>>s))
			}
		}
		key.more = string(more)
	}
	id, ok := t.byKey[key]
	if !ok {
		id = t.add(FlagSet{System: system, Keywords: append([]uint64(nil), kw...)})
		t.byKey[key] = id
	}
	return id
}

// known cuts off zero words and bits without a name.
func (t *flagTable) known(kw []uint64) []uint64 {
	n := len(t.keywords)
	if len(kw)*64 > n && len(kw) > 0 {
		kw = kw[:min(len(kw), (n+63)/64)]
		if last := len(kw) - 1; last >= 0 && n%64 != 0 && last == n/64 {
			if extra := kw[last] >> (n % 64); extra != 0 {
				kw = append([]uint64(nil), kw...)
				kw[last] &= 1<<(n%64) - 1
			}
		}
	}
	for len(kw) > 0 && kw[len(kw)-1] == 0 {
		kw = kw[:len(kw)-1]
	}
	return kw
}

func (t *flagTable) add(f FlagSet) FlagSetID {
	f.text, f.recent = t.render(f, false), t.render(f, true)
	t.pending = append(t.pending, f)
	return FlagSetID(len(t.pending) - 1)
}

func (t *flagTable) render(f FlagSet, recent bool) string {
	var b []byte
	for _, s := range systemFlags {
		if f.System&s.bit != 0 {
			b = append(append(b, s.name...), ' ')
		}
	}
	if recent {
		b = append(b, `\Recent `...)
	}
	for w, word := range f.Keywords {
		for ; word != 0; word &= word - 1 {
			k := w*64 + bits.TrailingZeros64(word)
			if ValidKeyword(t.keywords[k]) {
				b = append(append(b, t.keywords[k]...), ' ')
			}
		}
	}
	if len(b) > 0 {
		b = b[:len(b)-1]
	}
	return string(b)
}

// ValidKeyword reports whether a stored name may be sent: an atom (RFC 3501 §9:
// flag-keyword). A damaged index must not put a line end into a response.
func ValidKeyword(name string) bool {
	for i := 0; i < len(name); i++ {
		switch c := name[i]; {
		case c <= ' ', c >= 0x7f:
			return false
		case c == '(', c == ')', c == '{', c == '%', c == '*', c == '"', c == '\\', c == ']':
			return false
		}
	}
	return name != ""
}

// keywordMap makes names known and returns where storage's keyword i stands in
// the table, or nil if every one stands at its own number.
func (t *flagTable) keywordMap(names []string) []int {
	same := 0
	for same < len(names) && same < len(t.keywords) && names[same] == t.keywords[same] {
		same++
	}
	if same == len(t.keywords) { // the usual case: nothing, or new names at the end
		t.keywords = append(t.keywords, names[same:]...)
		return nil
	}
	if same == len(names) {
		return nil
	}
	m := make([]int, len(names))
	for i, name := range names {
		m[i] = t.keyword(name)
	}
	return m
}

// keyword returns the number of a name, adding it if need be.
func (t *flagTable) keyword(name string) int {
	for k, n := range t.keywords {
		if n == name {
			return k
		}
	}
	t.keywords = append(t.keywords, name)
	return len(t.keywords) - 1
}

// translate moves keyword bits by a map of keywordMap.
func translate(kw []uint64, m []int) []uint64 {
	var out []uint64
	for w, word := range kw {
		for ; word != 0; word &= word - 1 {
			k := w*64 + bits.TrailingZeros64(word)
			if k >= len(m) {
				break
			}
			for m[k]/64 >= len(out) {
				out = append(out, 0)
			}
			out[m[k]/64] |= 1 << (m[k] % 64)
		}
	}
	return out
}

// Seen reports whether \Seen is set.
func (f *FlagSet) Seen() bool { return f.System&backend.FlagSeen != 0 }
