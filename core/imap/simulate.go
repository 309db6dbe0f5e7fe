package imap

import "github.com/roostmail/roost/core/imapwire"

// SimulatedResult returns what a session keeps beside its record of a saved result of SEARCH (RFC 5182), for session.Simulate: ranges
// of UIDs, each of three messages and ten after the one before.
func SimulatedResult(ranges int) any {
	var uids []imapwire.NumRange
	for i := range uint32(ranges) {
		uids = append(uids, imapwire.NumRange{Start: 1 + 10*i, Stop: 3 + 10*i})
	}
	return &extra{found: appendResult(nil, uids)}
}

// SimulatedNotify returns what a session keeps beside its record of a NOTIFY SET (RFC 5465) for its selected mailbox.
func SimulatedNotify() any {
	set := notifySet{{filter: filterSelected, events: eventMessages | eventFlags, fetch: "(UID FLAGS BODY.PEEK[HEADER.FIELDS (FROM SUBJECT DATE)])"}}
	return &extra{notify: string(set.append(nil))}
}
