package check

import (
	"errors"
	"fmt"

	"github.com/roostmail/roost/mdbox/index"
	"github.com/roostmail/roost/mdbox/mapindex"
)

// references compares the references that mailboxes have with those that the map counts. Whoever changes references changes the map first
// and the mailbox then, and both through their logs: so what is read is of one moment if the map is the same before and after, and the mailboxes are.
func (v *verifier) references() error {
	if v.m == nil {
		for _, b := range v.boxes {
			if refs := b.references(); len(refs) > 0 {
				v.report.damage(fmt.Errorf("%d messages, and there is no map", len(refs)), b.path, b.name, 0)
			}
		}
		return nil
	}
	for range attempts {
		steady, err := v.countOnce()
		if err != nil || steady {
			return err
		}
		steady, err = v.steadyTree()
		if err == nil && !steady {
			err = v.reopenMailboxes()
		}
		if err != nil {
			return err
		}
	}
	v.report.add(Finding{Kind: Unverified, File: v.mapPath(), Offset: -1, Rule: "references: the store changes all the time"})
	return nil
}

// refresh brings the indexes up to date.
func (v *verifier) refresh() error {
	if _, err := v.m.Refresh(); err != nil {
		return err
	}
	for _, b := range v.boxes {
		if b.x == nil {
			continue
		}
		was := headerOf(b.x.State()).MailboxGUID
		if _, err := b.x.Refresh(); errors.Is(err, index.ErrDeleted) {
			b.x, v.moved = nil, true
		} else if err != nil {
			return err
		} else if headerOf(b.x.State()).MailboxGUID != was {
			v.moved = true // another one has its name
		}
	}
	return nil
}

// countOnce counts references, and reports what is wrong if nothing has changed meanwhile.
func (v *verifier) countOnce() (steady bool, err error) {
	if err := v.refresh(); err != nil {
		return false, err
	}
	before := v.m.Index().State().Position()
	count, findings := v.count()
	if err := v.refresh(); err != nil {
		return false, err
	}
	if v.m.Index().State().Position() != before {
		return false, nil
	}
	if steady, err := v.steadyTree(); !steady || err != nil {
		return false, err
	}
	if unfinished(v.m.Index()) {
		// Somebody may be at it. If nobody is, whoever locks the map next counts again.
		v.report.add(Finding{Kind: Leftover, File: v.mapPath() + ".log", Offset: int64(v.m.Index().State().Tail().Offset),
			Rule: "a change of the map is not finished: tail is not head"})
		return true, nil
	}
	for _, f := range findings {
		v.report.add(f)
	}
	v.m.All(func(uid mapindex.UID, e mapindex.Entry, err error) bool {
		n := count[uid]
		if err != nil || n == int(e.Refcount) {
			return true
		}
		f := Finding{File: v.mapPath(), Offset: -1, Rule: fmt.Sprintf("map UID %d: refcount %d, mailboxes have %d references", uid, e.Refcount, n)}
		if n < int(e.Refcount) {
			// A process ended between a change of the map and one of a mailbox. The next one that changes the store counts again.
			f.Kind, f.orphan = Leftover, n == 0
		}
		v.report.add(f)
		return true
	})
	return true, nil
}

// count counts the references of all mailboxes, and returns those that lead nowhere.
func (v *verifier) count() (count map[mapindex.UID]int, findings []Finding) {
	count = make(map[mapindex.UID]int, v.m.Len())
	for _, b := range v.boxes {
		for _, r := range b.references() {
			count[r.to]++
			_, found, err := v.m.Lookup(r.to)
			if r.to == 0 || !found || err != nil {
				findings = append(findings, Finding{File: b.path, Offset: -1, Rule: fmt.Sprintf("map UID %d is in the map", r.to), Mailbox: b.name, UID: r.uid})
			}
		}
	}
	return count, findings
}
