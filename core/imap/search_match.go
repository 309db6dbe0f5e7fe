package imap

import (
	"sort"
	"time"

	"github.com/roostmail/roost/core/mailbox"
	"github.com/roostmail/roost/core/message"
)

// truth is the value of a key: unknown as long as what it needs was not read.
type truth int8

const (
	isFalse truth = iota - 1
	unknown
	isTrue
)

func truthOf(b bool) truth {
	if b {
		return isTrue
	}
	return isFalse
}

// facts is what is known of one message.
type facts struct {
	view   *mailbox.View
	recent mailbox.Recent
	msg    mailbox.Message
	read   searchPhase // what of the following was read

	size   uint64
	date   int64
	saved  int64 // 0 = not known
	guid   string
	header []byte              // header fields or block
	body   []byte              // the whole message
	limits message.Limits      // of the parts of body
	text   *message.SearchText // of body, made when it is needed
}

// eval returns the value of a key, as far as the facts reach.
func (k *searchKey) eval(f *facts) truth {
	switch k.op {
	case searchAnd:
		return k.evalKeys(f, isFalse)
	case searchOr:
		return k.evalKeys(f, isTrue)
	case searchNot:
		return -k.keys[0].eval(f)
	}
	if k.phase() > f.read {
		return unknown
	}
	return truthOf(k.matches(f))
}

// evalKeys returns decisive if one key has that value, else the opposite if all have it.
func (k *searchKey) evalKeys(f *facts, decisive truth) truth {
	result := -decisive
	for i := range k.keys {
		switch k.keys[i].eval(f) {
		case decisive:
			return decisive
		case unknown:
			result = unknown
		}
	}
	return result
}

// matches returns the value of a key that compares something which was read.
func (k *searchKey) matches(f *facts) bool {
	switch k.op {
	case searchAll:
		return true
	case searchSet:
		i := sort.Search(len(k.ranges), func(i int) bool { return k.ranges[i].Last >= f.msg.Seq })
		return i < len(k.ranges) && k.ranges[i].First <= f.msg.Seq
	case searchFlag:
		return f.view.FlagSet(f.msg.Flags).System&k.flag != 0
	case searchRecent:
		return f.recent.Has(f.msg.UID)
	case searchKeyword:
		return f.view.FlagSet(f.msg.Flags).HasKeyword(k.keyword)
	case searchModSeq:
		return f.msg.ModSeq >= k.number
	case searchEmailID:
		return string(appendEmailID(nil, f.guid)) == k.id
	case searchLarger:
		return f.size > k.number
	case searchSmaller:
		return f.size < k.number
	case searchBefore:
		return k.dayOfMessage(f) < k.day
	case searchOn:
		return k.dayOfMessage(f) == k.day
	case searchSince:
		return k.dayOfMessage(f) >= k.day
	case searchOlder:
		return f.date <= k.moment
	case searchYounger:
		return f.date >= k.moment
	case searchField:
		return k.pattern.MatchField(f.header, k.field, k.match)
	case searchBody:
		return k.pattern.MatchBody(f.searchText())
	case searchText:
		return k.pattern.MatchText(f.searchText())
	}
	return false
}

// dayOfMessage returns the day of INTERNALDATE, or of the save date, in the server's time zone, or that of the Date field
// in the sender's, as Dovecot does: time and zone do not count (RFC 3501 §6.4.4).
// Without a usable Date field it is the first day of 1970.
func (k *searchKey) dayOfMessage(f *facts) int64 {
	switch {
	case k.saved:
		return dayOf(time.Unix(f.savedOf(), 0))
	case !k.sent:
		return dayOf(time.Unix(f.date, 0))
	}
	field, ok := message.FindField(f.header, "Date")
	if !ok {
		return 0
	}
	date, ok := message.ParseDate(field.Value)
	if !ok {
		return 0
	}
	return dayOf(time.Unix(date.Unix, 0).In(time.FixedZone("", date.Zone*60)))
}

func (f *facts) searchText() *message.SearchText {
	if f.text == nil {
		f.text = message.Parse(f.body, f.limits).SearchText()
	}
	return f.text
}
