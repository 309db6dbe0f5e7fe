package mailbox

import (
	"math/bits"
	"strings"
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

// AppendText appends the text of the set with more system flags in it.
func (f *FlagSet) AppendText(b []byte, more uint8, recent bool) []byte {
	b = append(b, plainSets[(f.System|more)&allSystemFlags].Text(recent)...)
	keywords := strings.TrimPrefix(f.text[len(plainSets[f.System].text):], " ")
	if len(keywords) > 0 && (recent || f.System|more != 0) {
		b = append(b, ' ')
	}
	return append(b, keywords...)
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

// plainSets are the sets without keywords, the same in every mailbox: id = system flags.
var plainSets = makePlainSets()

func makePlainSets() []FlagSet {
	sets := make([]FlagSet, allSystemFlags+1)
	for f := range sets {
		sets[f] = newFlagSet(uint8(f), nil, nil)
	}
	return sets
}

// flagTable interns the flag sets with keywords of one mailbox, whose ids follow those of
// plainSets. Reading sets is safe at any time; everything else is guarded by Mailbox.mu.
type flagTable struct {
	sets atomic.Pointer[[]FlagSet] // only ever appended to; nil = none

	pending  []FlagSet // sets with those not yet published
	byKey    map[flagKey]FlagSetID
	keywords []string // only ever appended to
}

// flagKey is a set with keywords: word 0 and, rarely, the other words' bytes.
type flagKey struct {
	system uint8
	first  uint64
	more   string
}

// get returns the set of an id that intern returned before publish.
func (t *flagTable) get(id FlagSetID) *FlagSet {
	if int(id) < len(plainSets) {
		return &plainSets[id]
	}
	return &(*t.sets.Load())[int(id)-len(plainSets)]
}

// latest is get for ids that may not have been published.
func (t *flagTable) latest(id FlagSetID) *FlagSet {
	if int(id) < len(plainSets) {
		return &plainSets[id]
	}
	return &t.pending[int(id)-len(plainSets)]
}

// publish lets readers see what was interned.
func (t *flagTable) publish() {
	if s := t.sets.Load(); len(t.pending) > 0 && (s == nil || len(*s) != len(t.pending)) {
		sets := t.pending
		t.sets.Store(&sets)
	}
}

// intern returns the id of a set. kw is not retained. Unknown bits of both are ignored.
func (t *flagTable) intern(system uint8, kw []uint64) FlagSetID {
	system &= allSystemFlags
	kw = t.known(kw)
	if len(kw) == 0 {
		return FlagSetID(system)
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
		id = FlagSetID(len(plainSets) + len(t.pending))
		t.pending = append(t.pending, newFlagSet(system, append([]uint64(nil), kw...), t.keywords))
		if t.byKey == nil {
			t.byKey = map[flagKey]FlagSetID{}
		}
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

// newFlagSet makes a set and its texts.
func newFlagSet(system uint8, kw []uint64, names []string) FlagSet {
	var sys, key []byte
	for _, s := range systemFlags {
		if system&s.bit != 0 {
			sys = append(append(sys, s.name...), ' ')
		}
	}
	for w, word := range kw {
		for ; word != 0; word &= word - 1 {
			if name := names[w*64+bits.TrailingZeros64(word)]; ValidKeyword(name) {
				key = append(append(key, name...), ' ')
			}
		}
	}
	return FlagSet{
		System:   system,
		Keywords: kw,
		text:     strings.TrimSuffix(string(sys)+string(key), " "),
		recent:   strings.TrimSuffix(string(sys)+`\Recent `+string(key), " "),
	}
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
