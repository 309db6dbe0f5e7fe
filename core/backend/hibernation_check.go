package backend

import "fmt"

// Check returns the rule that the batch breaks, or nil.
func (b *HibernationBatch) Check() error {
	n := len(b.IDs)
	for _, c := range []struct {
		name string
		len  int
	}{
		{"keys", len(b.Keys)}, {"user_keys", len(b.UserKeys)}, {"idle", len(b.Idle)}, {"gaps", len(b.Gaps)}, {"wakes", len(b.Wakes)},
		{"sessions", len(b.Sessions)}, {"bytes", len(b.Bytes)}, {"states", len(b.States)},
	} {
		if c.len != n {
			return fmt.Errorf("column %s has %d elements for %d ids", c.name, c.len, n)
		}
	}
	if n == 0 {
		return fmt.Errorf("a batch without mailboxes")
	}
	return nil
}

// Check returns the rule that the answer to b breaks, or nil.
func (a *HibernationAnswer) Check(b *HibernationBatch) error {
	n := len(a.IDs)
	switch {
	case len(a.Actions) != n:
		return fmt.Errorf("column actions has %d elements for %d ids", len(a.Actions), n)
	case len(a.Again) != n:
		return fmt.Errorf("column again has %d elements for %d ids", len(a.Again), n)
	case a.Warm < 0 || a.Warm > MaxWarm:
		return fmt.Errorf("warm %v is not between 0 and %v", a.Warm, MaxWarm)
	}
	at := 0 // in b; what is before it was answered, or passed over
	for i, id := range a.IDs {
		for at < len(b.IDs) && b.IDs[at] != id {
			at++
		}
		if at == len(b.IDs) {
			return fmt.Errorf("id %d was not asked for, or is not in the order of the batch", id)
		}
		switch a.Actions[i] {
		case ActionKeep, ActionPark:
		case ActionDrop:
			if b.States[at] != StateLeft {
				return fmt.Errorf("id %d is to be dropped, but %d sessions have it selected", id, b.Sessions[at])
			}
		default:
			return fmt.Errorf("id %d has the unknown action %d", id, a.Actions[i])
		}
		at++
	}
	return nil
}
