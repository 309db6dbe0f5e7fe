package backend

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// CheckStateKeys returns the rule that the arguments of State.Get break, or nil.
func CheckStateKeys(namespace string, keys []string) error {
	if len(keys) == 0 || len(keys) > MaxStateBatch {
		return fmt.Errorf("%d keys are not from 1 to %d", len(keys), MaxStateBatch)
	}
	for _, k := range keys {
		if err := checkStateKey(k); err != nil {
			return err
		}
	}
	return checkStateNamespace(namespace)
}

// Check returns the rule that the write breaks, or nil.
func (p *StatePut) Check() error {
	switch {
	case len(p.Data) > MaxStateValue:
		return fmt.Errorf("a value of %d bytes is longer than %d", len(p.Data), MaxStateValue)
	case p.TTL < 0 || p.TTL > MaxStateTTL || p.TTL > 0 && p.TTL < time.Millisecond:
		return fmt.Errorf("a ttl of %v is not 0, or from 1ms to %v", p.TTL, MaxStateTTL)
	case p.IfAbsent && p.IfVersion != 0:
		return fmt.Errorf("if_version and if_absent are both set")
	}
	return checkStateName(p.Namespace, p.Key)
}

// Check returns the rule that the removal breaks, or nil.
func (d *StateDelete) Check() error { return checkStateName(d.Namespace, d.Key) }

// Check returns the rule that the question breaks, or nil.
func (l *StateList) Check() error {
	switch {
	case l.Limit < 1 || l.Limit > MaxStateBatch:
		return fmt.Errorf("a limit of %d is not from 1 to %d", l.Limit, MaxStateBatch)
	case len(l.Prefix) > MaxStateKey || len(l.After) > MaxStateKey:
		return fmt.Errorf("a prefix or key is longer than %d bytes", MaxStateKey)
	}
	return checkStateNamespace(l.Namespace)
}

// Check returns the rule that the question breaks, or nil.
func (w *StateWatch) Check() error {
	if len(w.Prefix) > MaxStateKey {
		return fmt.Errorf("a prefix is longer than %d bytes", MaxStateKey)
	}
	return checkStateNamespace(w.Namespace)
}

// Check returns the rule that the value breaks, or nil.
func (v *StateValue) Check() error {
	switch {
	case v.Version == 0 && (len(v.Data) > 0 || v.TTL != 0):
		return fmt.Errorf("a key that does not exist has a value")
	case len(v.Data) > MaxStateValue:
		return fmt.Errorf("a value of %d bytes is longer than %d", len(v.Data), MaxStateValue)
	case v.TTL < 0 || v.TTL > MaxStateTTL:
		return fmt.Errorf("a ttl of %v is not from 0 to %v", v.TTL, MaxStateTTL)
	}
	return nil
}

// Check returns the rule that the result breaks as an answer to p, or nil.
func (r StateResult) Check(p *StatePut) error {
	switch {
	case r.Done && r.Version == 0:
		return fmt.Errorf("a value was written, and has no version")
	case r.Done && p.IfVersion != 0 && r.Version <= p.IfVersion:
		return fmt.Errorf("version %d came after version %d", r.Version, p.IfVersion)
	case r.Done:
		return nil
	}
	return checkRefusal(r.Version, p.IfVersion, p.IfAbsent)
}

// CheckDelete returns the rule that the result breaks as an answer to d, or nil.
func (r StateResult) CheckDelete(d *StateDelete) error {
	switch {
	case r.Done && d.IfVersion != 0 && r.Version != d.IfVersion:
		return fmt.Errorf("version %d was removed, not %d", r.Version, d.IfVersion)
	case r.Done:
		return nil
	}
	return checkRefusal(r.Version, d.IfVersion, false)
}

// checkRefusal checks that a condition did not hold.
func checkRefusal(version, ifVersion uint64, ifAbsent bool) error {
	switch {
	case ifVersion == 0 && !ifAbsent:
		return fmt.Errorf("nothing was done, although there was no condition")
	case ifAbsent && version == 0, ifVersion != 0 && version == ifVersion:
		return fmt.Errorf("nothing was done, although the condition held")
	}
	return nil
}

// Check returns the rule that the page breaks as an answer to l, or nil.
func (p *StatePage) Check(l *StateList) error {
	if len(p.Entries) > l.Limit {
		return fmt.Errorf("%d entries are more than %d", len(p.Entries), l.Limit)
	}
	if p.More && len(p.Entries) == 0 {
		return fmt.Errorf("a page without entries is not the last")
	}
	last, size := l.After, 0
	for i := range p.Entries {
		e := &p.Entries[i]
		switch {
		case e.Key <= last:
			return fmt.Errorf("entry %d: its key is not greater than the one before", i)
		case len(e.Key) > MaxStateKey:
			return fmt.Errorf("entry %d: its key is longer than %d bytes", i, MaxStateKey)
		case !strings.HasPrefix(e.Key, l.Prefix):
			return fmt.Errorf("entry %d: its key does not begin with the prefix", i)
		case e.Version == 0:
			return fmt.Errorf("entry %d: it does not exist", i)
		}
		if err := e.StateValue.Check(); err != nil {
			return fmt.Errorf("entry %d: %w", i, err)
		}
		last = e.Key
		size += len(e.Key) + len(e.Data)
	}
	if size > MaxStateBytes && len(p.Entries) > 1 {
		return fmt.Errorf("a page of %d bytes is larger than %d", size, MaxStateBytes)
	}
	return nil
}

// Check returns the rule that the news break as an answer to w, or nil.
func (n *StateNews) Check(w *StateWatch) error {
	if len(n.Changes) > MaxStateBatch {
		return fmt.Errorf("%d changes are more than %d", len(n.Changes), MaxStateBatch)
	}
	for i := range n.Changes {
		key := n.Changes[i].Key
		if err := checkStateKey(key); err != nil {
			return fmt.Errorf("change %d: %w", i, err)
		}
		if !strings.HasPrefix(key, w.Prefix) {
			return fmt.Errorf("change %d: its key does not begin with the prefix", i)
		}
	}
	return nil
}

func checkStateName(namespace, key string) error {
	if err := checkStateKey(key); err != nil {
		return err
	}
	return checkStateNamespace(namespace)
}

func checkStateKey(key string) error {
	if key == "" || len(key) > MaxStateKey {
		return fmt.Errorf("a key of %d bytes is not from 1 to %d", len(key), MaxStateKey)
	}
	return nil
}

func checkStateNamespace(n string) error {
	if n == "" || len(n) > MaxStateNamespace || strings.ContainsRune(n, 0) || !utf8.ValidString(n) {
		return fmt.Errorf("a namespace is from 1 to %d bytes of UTF-8 without a zero byte", MaxStateNamespace)
	}
	return nil
}
