package imap

import "github.com/roostmail/roost/core/backend"

// offers are features of storage that need no interface of their own.
type offers struct {
	saveDate      bool // SAVEDATE (RFC 8514)
	preview       bool // PREVIEW (RFC 8970)
	objectID      bool // OBJECTID (RFC 8474)
	replace       bool // REPLACE (RFC 8508) in one step
	statusDeleted bool // STATUS DELETED (RFC 9051 §6.3.11)
	deletedSize   bool // STATUS DELETED-STORAGE (RFC 9208 §4.1.4)
}

func offersOf(i backend.Info) offers {
	return offers{saveDate: i.Has(backend.CapSaveDate), preview: i.Has(backend.CapPreview), objectID: i.Has(backend.CapObjectID),
		replace: i.Has(backend.CapReplace), statusDeleted: i.Has(backend.CapStatusDeleted), deletedSize: i.Has(backend.CapQuota)}
}

// appendCapabilities appends those that are announced for them.
func (o offers) appendCapabilities(b []byte) []byte {
	if o.saveDate {
		b = append(b, " SAVEDATE"...)
	}
	if o.preview {
		b = append(b, " PREVIEW"...)
	}
	if o.objectID {
		b = append(b, " OBJECTID"...)
	}
	return b
}

// has reports whether storage has something for a FETCH item.
func (o offers) has(kind fetchKind) bool {
	switch kind {
	case fetchSaveDate:
		return o.saveDate
	case fetchEmailID, fetchThreadID:
		return o.objectID
	case fetchPreview:
		return o.preview
	}
	return true
}

// refuseItems refuses FETCH items that storage has nothing for: clients are not told of them.
func (o offers) refuseItems(a *fetchArgs) error {
	for i := range a.items {
		if it := &a.items[i]; !o.has(it.kind) {
			return bad("Mail storage has no " + string(it.name[:len(it.name)-1]) + ".")
		}
	}
	return nil
}

// refuseSearch does the same for search keys.
func (o offers) refuseSearch(k *searchKey) error {
	var n searchNeeds
	k.uses(&n)
	switch {
	case n.saved && !o.saveDate:
		return bad("Mail storage has no save dates.")
	case (n.guid || n.thread) && !o.objectID:
		return bad("Mail storage has no object ids.")
	}
	return nil
}

// refuseStatus does the same for STATUS items.
func (o offers) refuseStatus(items backend.StatusItems) error {
	switch {
	case items&backend.StatusMailboxID != 0 && !o.objectID:
		return bad("Mail storage has no object ids.")
	case items&backend.StatusDeleted != 0 && !o.statusDeleted:
		return bad("Mail storage does not count deleted messages.")
	case items&backend.StatusDeletedSize != 0 && !o.deletedSize:
		return bad("Mail storage has no quotas.")
	}
	return nil
}
