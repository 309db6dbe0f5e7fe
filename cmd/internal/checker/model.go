package checker

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/roostmail/roost/cmd/internal/rig"
)

// model is what one connection knows of its selected mailbox.
type model struct {
	condstore, qresync, rev2, uidOnly bool // enabled
	notify                            bool // the mailbox is told of at any time (RFC 5465 §5.1)

	enabled            []string // as the last ENABLED response tells
	mailbox            string   // "" = none is selected
	readOnly           bool
	msgs               []*message // by sequence number - 1
	first              int        // how many of them SELECT has told of
	recent             int        // RECENT, -1 = not told
	uidValidity        uint32
	uidNext            uint32 // as SELECT has told it
	highest            uint64 // what the client may come back with (RFC 7162 §6)
	cmdHighest, cmdMax uint64 // HIGHESTMODSEQ and the highest MODSEQ of the current command, 0 = none

	queue      []*command // sent and not answered, in order
	mustGo     []*message // an answer had nothing of them: the next NOOP has to tell that they are gone
	mustChange []change   // of searches
	saved      []*message // "$"
	tick       int        // of the responses
	changed    int        // tick at which anything was told to have changed
	idling     bool       // "+" has come
	bye        string
	world      *world
}

// command is what the model has to know of a command.
type command struct {
	tag, text string
	name      string // without UID
	uid       bool
	targets   []*message
	items     []string // what each of the targets must be told of (RFC 3501 §6.4.5)
	any       bool     // targets may be more than the client knows of
	some      bool     // not of all targets: which, depends on modseqs that the client need not know
	got       map[*message][]string
	since     int // tick at which the answer began

	store       *storeCommand
	search      *searchCommand
	before      []*message         // of SEARCH: what there was when the answer began
	mailbox     string             // of SELECT
	resync      map[uint32]message // what the client still knew, with QRESYNC
	complete    bool               // that is all there was
	floor       uint64             // a modseq that the mailbox had when the command was sent
	marked      []*message         // of EXPUNGE: those that the client knew to be \Deleted
	answer      string             // of ESEARCH and SEARCH
	codes       []string           // untagged response codes
	final       string
	newModSeq   []message       // a higher modseq of each must be told
	seen        map[string]bool // untagged responses of SELECT by name
	opened      bool            // of SELECT: what comes is of the new mailbox
	vanishedOld bool            // VANISHED (EARLIER) may come
}

type storeCommand struct {
	mode        storeMode
	flags       []string
	silent      bool
	conditional bool
}

// sent notes a command.
func (m *model) sent(c *command) {
	c.got = map[*message][]string{}
	m.queue = append(m.queue, c)
	if len(m.queue) == 1 {
		m.begin()
	}
}

// begin is called when the next answer is that of the first command of the queue.
func (m *model) begin() {
	if len(m.queue) == 0 {
		return
	}
	c := m.queue[0]
	m.position() // of what has come since the last answer
	c.since = m.tick
	if c.name == "SEARCH" {
		c.before = slices.Clone(m.msgs)
	}
	if c.name == "SELECT" || c.name == "EXAMINE" {
		c.seen = map[string]bool{}
		if m.mailbox == "" {
			m.open(c)
		}
	}
}

// open forgets the mailbox that was selected.
func (m *model) open(c *command) {
	m.forget()
	c.opened = true
	m.mailbox, m.readOnly = c.mailbox, c.name == "EXAMINE"
}

// forget is called when no mailbox is selected any more.
func (m *model) forget() {
	for _, msg := range m.msgs {
		msg.gone = true // for who still points at it
	}
	m.mustChange = nil
	m.mailbox, m.msgs, m.mustGo, m.saved, m.first, m.recent, m.uidNext = "", nil, nil, nil, 0, -1, 0
}

// current returns the command that is being answered, nil = none.
func (m *model) current() *command {
	if len(m.queue) == 0 {
		return nil
	}
	return m.queue[0]
}

func (m *model) selecting() bool {
	c := m.current()
	return c != nil && c.opened
}

// take takes a response in. The error is a contradiction.
func (m *model) take(line []byte) error {
	m.tick++
	text := string(line)
	switch {
	case strings.HasPrefix(text, "+"):
		m.idling = true
		return nil
	case !strings.HasPrefix(text, "* "):
		return m.tagged(text)
	}
	word, rest, _ := strings.Cut(text[2:], " ")
	if n, err := strconv.ParseUint(word, 10, 32); err == nil {
		word, rest, _ = strings.Cut(rest, " ")
		return m.numbered(uint32(n), word, rest)
	}
	if c := m.current(); c != nil && c.seen != nil {
		c.seen[word] = true
	}
	switch word {
	case "OK", "NO", "BAD", "BYE":
		return m.status(word, rest)
	case "VANISHED":
		return m.vanished(rest)
	case "SEARCH", "ESEARCH":
		return m.found(word, rest)
	case "ENABLED":
		m.enabled = strings.Fields(strings.ToUpper(rest))
		return nil
	case "FLAGS", "LIST", "LSUB", "STATUS", "CAPABILITY", "NAMESPACE", "ID", "METADATA", "QUOTA", "QUOTAROOT", "LANGUAGE":
		return nil
	}
	return fmt.Errorf("what is %s?", word)
}

// numbered takes "* n WORD rest" in.
func (m *model) numbered(n uint32, word, rest string) error {
	if m.mailbox == "" {
		return fmt.Errorf("%d %s, and no mailbox is selected", n, word)
	}
	if c := m.current(); c != nil && c.seen != nil {
		c.seen[word] = true
	}
	switch word {
	case "EXISTS":
		return m.exists(int(n))
	case "RECENT":
		if m.rev2 {
			return fmt.Errorf("RECENT after ENABLE IMAP4rev2 (RFC 9051 §7.4)")
		}
		if int(n) > len(m.msgs) {
			return fmt.Errorf("RECENT %d of %d messages", n, len(m.msgs))
		}
		m.recent = int(n)
		return nil
	case "EXPUNGE":
		return m.expunge(int(n))
	case "FETCH":
		if m.uidOnly {
			return fmt.Errorf("FETCH after ENABLE UIDONLY (RFC 9586 §3)")
		}
		if n == 0 || int(n) > len(m.msgs) {
			return fmt.Errorf("FETCH of number %d, of %d messages", n, len(m.msgs))
		}
		return m.fetch(m.msgs[n-1], int(n), rest)
	case "UIDFETCH":
		if !m.uidOnly {
			return fmt.Errorf("UIDFETCH without ENABLE UIDONLY (RFC 9586 §3)")
		}
		msg, err := m.byUID(n)
		if err != nil {
			return err
		}
		return m.fetch(msg, 0, rest)
	}
	return fmt.Errorf("what is %s?", word)
}

func (m *model) exists(n int) error {
	if n < len(m.msgs) {
		return fmt.Errorf("EXISTS %d, after %d messages", n, len(m.msgs))
	}
	for len(m.msgs) < n {
		m.msgs = append(m.msgs, &message{tick: m.tick})
	}
	if m.selecting() {
		m.first = n
	}
	return nil
}

// mayExpunge returns an error where RFC 3501 §7.4.1 and RFC 7162 §3.2.10.2 allow neither EXPUNGE nor VANISHED.
func (m *model) mayExpunge(word string) error {
	c := m.current()
	switch {
	case c == nil && !m.notify:
		return fmt.Errorf("%s while no command is in progress", word)
	case c != nil && !c.uid && (c.name == "FETCH" || c.name == "STORE" || c.name == "SEARCH") && !m.notify:
		return fmt.Errorf("%s during %s", word, c.name)
	}
	return nil
}

func (m *model) expunge(n int) error {
	if err := m.mayExpunge("EXPUNGE"); err != nil {
		return err
	}
	if m.qresync || m.uidOnly {
		return fmt.Errorf("EXPUNGE instead of VANISHED (RFC 7162 §3.2.10)")
	}
	if n < 1 || n > len(m.msgs) {
		return fmt.Errorf("EXPUNGE of number %d, of %d messages", n, len(m.msgs))
	}
	m.remove(n - 1)
	return nil
}

func (m *model) remove(i int) {
	m.msgs[i].gone = true
	m.msgs[i].tick, m.changed = m.tick, m.tick
	m.msgs = slices.Delete(m.msgs, i, i+1)
	if i < m.first {
		m.first--
	}
}

// vanished takes VANISHED in (RFC 7162 §3.2.10).
func (m *model) vanished(rest string) error {
	set, earlier := strings.CutPrefix(rest, "(EARLIER) ")
	uids, err := numbers(set)
	if err != nil {
		return fmt.Errorf("VANISHED: %v", err)
	}
	c := m.current()
	if earlier {
		if c == nil || !c.vanishedOld {
			return fmt.Errorf("VANISHED (EARLIER) that nobody has asked for (RFC 7162 §3.2.10.1)")
		}
		for _, uid := range uids {
			if c.resync != nil {
				delete(c.resync, uid)
			}
			if i := m.indexOf(uid); i >= 0 {
				return fmt.Errorf("VANISHED (EARLIER) of UID %d, which is there", uid)
			}
		}
		return nil
	}
	if err := m.mayExpunge("VANISHED"); err != nil {
		return err
	}
	if !m.qresync && !m.uidOnly {
		return fmt.Errorf("VANISHED, and QRESYNC is not enabled")
	}
	for _, uid := range uids {
		i := m.indexOf(uid)
		if i < 0 {
			if i = m.unknownAt(uid); i < 0 {
				return fmt.Errorf("VANISHED of UID %d, which was not there (RFC 7162 §3.2.10.2)", uid)
			}
			m.confuse(i)
		}
		m.remove(i)
	}
	return nil
}

// confuse forgets what is known of messages without UID, of which one, nobody knows which, is about to go: i and its neighbours.
func (m *model) confuse(i int) {
	for ; i < len(m.msgs) && (m.msgs[i].uid == 0 || m.uidOnly); i++ {
		if m.msgs[i].uid == 0 {
			m.msgs[i].gone = true // for who still points at it
			m.msgs[i] = &message{tick: m.tick}
		}
	}
	for _, c := range m.queue {
		c.any = true // its targets may be among them
	}
}

// indexOf returns where a message with a known UID is, -1 = nowhere.
func (m *model) indexOf(uid uint32) int {
	return slices.IndexFunc(m.msgs, func(msg *message) bool { return msg.uid == uid })
}

// unknownAt returns a message without UID that may have this one, by its neighbours; -1 = none.
func (m *model) unknownAt(uid uint32) int {
	for i, msg := range m.msgs {
		if msg.uid == 0 && (m.uidOnly || m.fits(i, uid) == nil) {
			return i
		}
	}
	return -1
}

// fits returns an error if the message at i can not have a UID: they ascend (RFC 3501 §2.3.1.1).
func (m *model) fits(i int, uid uint32) error {
	for j := i - 1; j >= 0; j-- {
		if p := m.msgs[j].uid; p != 0 {
			if p >= uid {
				return fmt.Errorf("message %d has UID %d, and message %d has %d", i+1, uid, j+1, p)
			}
			break
		}
	}
	for j := i + 1; j < len(m.msgs); j++ {
		if n := m.msgs[j].uid; n != 0 {
			if n <= uid {
				return fmt.Errorf("message %d has UID %d, and message %d has %d", i+1, uid, j+1, n)
			}
			break
		}
	}
	switch {
	case m.uidNext == 0:
	case i < m.first && uid >= m.uidNext:
		return fmt.Errorf("message %d has UID %d, and SELECT has told UIDNEXT %d", i+1, uid, m.uidNext)
	case i >= m.first && uid < m.uidNext:
		return fmt.Errorf("message %d, which is new, has UID %d below UIDNEXT %d", i+1, uid, m.uidNext)
	}
	return nil
}

// byUID returns the message with a UID, where sequence numbers are not told (RFC 9586): one whose UID nobody has told takes it.
func (m *model) byUID(uid uint32) (*message, error) {
	if i := m.indexOf(uid); i >= 0 {
		return m.msgs[i], nil
	}
	i := m.unknownAt(uid)
	if i < 0 {
		return nil, fmt.Errorf("UIDFETCH of UID %d, which is not there", uid)
	}
	msg := m.msgs[i]
	msg.uid = uid
	slices.SortStableFunc(m.msgs, func(a, b *message) int { return int(int64(a.uid-1) - int64(b.uid-1)) }) // without UID last
	return msg, nil
}

// fetch takes the items of a FETCH response in. seq is 0 in a UIDFETCH response.
func (m *model) fetch(msg *message, seq int, rest string) error {
	v, err := rig.Parse([]byte(rest))
	if err != nil || len(v) != 1 || len(v[0].List)%2 != 0 {
		return fmt.Errorf("FETCH is no list of pairs: %v", err)
	}
	t := told{}
	for i := 0; i < len(v[0].List); i += 2 {
		if err := t.add(strings.ToUpper(v[0].List[i].Str), v[0].List[i+1]); err != nil {
			return err
		}
	}
	if t.uid != 0 && t.uid != msg.uid {
		if msg.uid != 0 {
			return fmt.Errorf("message %d had UID %d, and has %d", seq, msg.uid, t.uid)
		}
		if err := m.fits(seq-1, t.uid); err != nil {
			return err
		}
		msg.uid = t.uid
	}
	c := m.current()
	asked := c != nil && c.name == "FETCH" && (c.any || slices.Contains(c.targets, msg)) || m.selecting()
	if c != nil {
		c.got[msg] = append(c.got[msg], t.names...)
	}
	if t.flags != nil && !asked {
		if m.condstore && t.modseq == 0 {
			return fmt.Errorf("flags of message %d without MODSEQ, and CONDSTORE is enabled (RFC 7162 §3.2)", seq)
		}
		if (m.qresync || c != nil && c.uid && c.name == "STORE" && slices.Contains(c.targets, msg)) && t.uid == 0 && seq != 0 {
			return fmt.Errorf("flags of message %d without UID (RFC 7162 §3.2.4, RFC 3501 §6.4.8)", seq)
		}
	}
	if c != nil && c.seesMail() && m.becameSeen(msg, &t) { // as in Dovecot, the response has the new flags and the old modseq. The new one must follow (RFC 7162 §3.1.6)
		c.newModSeq = append(c.newModSeq, *msg)
		msg.sure = false
	}
	if err := m.learn(msg, &t); err != nil {
		return fmt.Errorf("message %d, UID %d: %w", seq, msg.uid, err)
	}
	if c != nil && c.seesMail() && slices.Contains(t.names, "BODY[]") {
		msg.sure = false
	}
	return m.world.remember(msg, &t)
}

// seesMail reports whether a command sets \Seen (RFC 3501 §6.4.5).
func (c *command) seesMail() bool { return c.name == "FETCH" && slices.Contains(c.items, "BODY[]") }

// becameSeen reports whether a response differs from what is known of a message by \Seen only.
func (m *model) becameSeen(msg *message, t *told) bool {
	return t.modseq != 0 && t.modseq == msg.modseq && msg.known && msg.sure && slices.Contains(t.names, "BODY[]") && t.flags != nil && slices.Equal(t.flags, stored(msg.flags, storeAdd, []string{`\Seen`}))
}

// learn takes flags and modseq of a message in.
func (m *model) learn(msg *message, t *told) error {
	if t.modseq != 0 {
		switch {
		case t.modseq < msg.modseq:
			return fmt.Errorf("modseq %d after %d", t.modseq, msg.modseq)
		case t.modseq == msg.modseq && msg.sure && msg.known && t.flags != nil && !slices.Equal(t.flags, msg.flags):
			return fmt.Errorf("flags %v after %v, both with modseq %d", t.flags, msg.flags, t.modseq)
		}
		m.cmdMax = max(m.cmdMax, t.modseq)
		if t.modseq > msg.modseq {
			msg.tick, m.changed = m.tick, m.tick
		}
	}
	if t.flags != nil {
		if t.recent && m.rev2 {
			return fmt.Errorf(`\Recent after ENABLE IMAP4rev2 (RFC 9051 §2.3.2)`)
		}
		if !msg.known || !slices.Equal(t.flags, msg.flags) {
			msg.tick, m.changed = m.tick, m.tick
		}
		msg.flags, msg.known, msg.recent = t.flags, true, t.recent
		msg.sure = t.modseq != 0 || msg.sure && msg.tick != m.tick
	} else if t.modseq > msg.modseq {
		msg.sure = false // the flags of that modseq were not told
	}
	msg.modseq = max(msg.modseq, t.modseq)
	return nil
}

// told is what a FETCH response tells.
type told struct {
	names  []string
	uid    uint32
	flags  []string // nil = not told
	recent bool
	modseq uint64
	size   string
	header string // of the field Subject
}

func (t *told) add(name string, v rig.Value) error {
	t.names = append(t.names, name)
	var err error
	switch {
	case name == "UID":
		var n uint64
		n, err = strconv.ParseUint(v.Str, 10, 32)
		t.uid = uint32(n)
	case name == "MODSEQ" && len(v.List) == 1:
		t.modseq, err = strconv.ParseUint(v.List[0].Str, 10, 63)
	case name == "FLAGS":
		var names []string
		for _, f := range v.List {
			names = append(names, f.Str)
		}
		t.flags, t.recent = flagList(names)
	case name == "RFC822.SIZE":
		t.size = v.Str
	case strings.HasPrefix(name, "BODY[HEADER.FIELDS"):
		t.header = v.Str
	}
	return err
}

// numbers returns the numbers of a set without "*".
func numbers(set string) ([]uint32, error) {
	var out []uint32
	for _, part := range strings.Split(set, ",") {
		a, b, ok := strings.Cut(part, ":")
		if !ok {
			b = a
		}
		first, err := strconv.ParseUint(a, 10, 32)
		last, err2 := strconv.ParseUint(b, 10, 32)
		if err != nil || err2 != nil || first == 0 || last < first || last-first > 1<<20 {
			return nil, fmt.Errorf("%.60q is no set", set)
		}
		for n := first; n <= last; n++ {
			out = append(out, uint32(n))
		}
	}
	return out, nil
}
