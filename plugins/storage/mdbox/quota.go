package mdbox

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/mdbox/quota"
)

var _ backend.Quota = (*Storage)(nil)

// quotaRoot is the option quota.
type quotaRoot struct {
	name        string
	noEnforcing bool // it is told, and refuses nothing
	rules       []string
	exceeded    string // what the client is told
}

// parseQuota reads the options about quotas; nil: there are none. Errors name the option.
func (p *optionParser) parseQuota(values map[string]any) *quotaRoot {
	spec, rules := values["quota"].(string), values["quota_rule"].([]string)
	if _, err := quota.ParseRules(rules); err != nil {
		p.fail("quota_rule", "%v", err)
	}
	if !values["quota_vsizes"].(bool) {
		p.fail("quota_vsizes", "must be true: a quota counts virtual sizes")
	}
	if spec == "" {
		if len(rules) > 0 {
			p.fail("quota_rule", "there is no option quota")
		}
		return nil
	}
	fields := strings.Split(spec, ":")
	if fields[0] != "count" {
		p.fail("quota", "the backend %q is not supported, only count", fields[0])
	}
	q := &quotaRoot{rules: rules, exceeded: values["quota_exceeded_message"].(string)}
	if len(fields) > 1 {
		q.name = fields[1]
	}
	for _, arg := range fields[min(2, len(fields)):] {
		if arg != "noenforcing" {
			p.fail("quota", "unknown parameter %q", arg)
		}
		q.noEnforcing = true
	}
	return q
}

// rulesOf returns the rules for a user, whose fields quota_rule, quota_rule2 and so on take the place of the options' rules of that number.
func (q *quotaRoot) rulesOf(u *backend.User) (*quota.Rules, error) {
	list := q.rules
	for i := 1; ; i++ {
		name := "quota_rule"
		if i > 1 {
			name = fmt.Sprintf("quota_rule%d", i)
		}
		rule, ok := u.Fields[name]
		if !ok {
			if i > len(q.rules) {
				break
			}
			continue
		}
		list = slices.Clone(list)
		for len(list) < i {
			list = append(list, rule)
		}
		list[i-1] = rule
	}
	r, err := quota.ParseRules(list)
	if err != nil { // no limit is not what the administrator has meant
		return nil, &backend.Error{Kind: backend.KindUnavailable, Message: "quota is misconfigured", Detail: err.Error()}
	}
	return r, nil
}

// Quota implements backend.Quota.
func (s *Storage) Quota(ctx context.Context, u *backend.User) ([]backend.QuotaRoot, error) {
	if err := s.usable(ctx); err != nil {
		return nil, err
	}
	q := s.settings.quota
	if q == nil {
		return nil, backend.Errorf(backend.KindUnsupported, "Quotas are not configured (quota)")
	}
	rules, err := q.rulesOf(u)
	if err != nil {
		return nil, err
	}
	root := backend.QuotaRoot{Name: q.name}
	for _, name := range slices.Sorted(maps.Keys(s.namespaces)) {
		if !s.namespaces[name].Public {
			root.Namespaces = append(root.Namespaces, name)
		}
	}
	limits := rules.Default()
	if limits == (quota.Limits{}) {
		return []backend.QuotaRoot{root}, nil
	}
	use, err := s.usage(ctx, u, rules)
	if err != nil {
		return nil, err
	}
	if limits.Bytes > 0 {
		root.Resources = append(root.Resources, backend.QuotaResource{Kind: backend.QuotaStorage, Usage: use.bytes, Limit: limits.Bytes})
	}
	if limits.Messages > 0 {
		root.Resources = append(root.Resources, backend.QuotaResource{Kind: backend.QuotaMessage, Usage: use.messages, Limit: limits.Messages})
	}
	return []backend.QuotaRoot{root}, nil
}

// usage is what a user has.
type usage struct{ bytes, messages uint64 }

// usage counts the mail in all mailboxes of a user, but those that rules ignore. A mailbox that can not be read counts as empty, and is logged.
func (s *Storage) usage(ctx context.Context, u *backend.User, rules *quota.Rules) (sum usage, err error) {
	counted := map[place]bool{}
	for _, name := range slices.Sorted(maps.Keys(s.namespaces)) {
		if s.namespaces[name].Public { // nobody's
			continue
		}
		ns, p, err := s.locate(u, name)
		if err != nil {
			return usage{}, err
		}
		same := p
		same.namespace = ""
		if counted[same] { // the same mail under another prefix
			continue
		}
		counted[same] = true
		list, err := s.listMailboxes(ctx, u, name)
		if err != nil {
			return usage{}, err
		}
		for _, m := range list {
			if m.NoSelect || m.NonExistent || rules.Of(ns.quotaName(m.Name)).Ignored {
				continue
			}
			if err := s.addUsage(ctx, p, m.Name, &sum); err != nil {
				return usage{}, err
			}
		}
	}
	return sum, nil
}

// quotaName is what rules call a mailbox: what clients call it.
func (n *namespace) quotaName(name string) string {
	if name == "INBOX" && n.Inbox {
		return name
	}
	if n.Separator != 0 && n.Separator != '/' {
		name = strings.ReplaceAll(name, "/", string(rune(n.Separator)))
	}
	return n.Prefix + name
}

// addUsage adds what is in a mailbox.
func (s *Storage) addUsage(ctx context.Context, p place, name string, sum *usage) error {
	if err := ctx.Err(); err != nil {
		return toBackend(err)
	}
	if s.settings.listIndex {
		store, release, err := s.stores.store(p)
		if err != nil {
			return toBackend(err)
		}
		st, ok := store.CachedStatus(name, true)
		release()
		if ok {
			sum.bytes += st.Size
			sum.messages += uint64(st.Messages)
			return nil
		}
	}
	m, release, err := s.stores.mailbox(p, name)
	if err == nil {
		var messages uint32
		var bytes uint64
		messages, bytes, err = m.CountSize(ctx)
		release()
		sum.bytes += bytes
		sum.messages += uint64(messages)
	}
	if err == nil {
		return nil
	}
	switch e := toBackend(err); e.Kind {
	case backend.KindNotFound: // deleted meanwhile, or to be made when it is first used
		return nil
	case backend.KindCorrupted:
		s.log.WarnContext(ctx, "a mailbox is left out of the quota", "mailbox", name, "err", err)
		return nil
	default:
		return e
	}
}

// checkQuota refuses messages of together size bytes for a mailbox, if its user would have too much.
func (s *Storage) checkQuota(ctx context.Context, to backend.MailboxRef, size uint64, count int) error {
	q := s.settings.quota
	if q == nil || q.noEnforcing || count == 0 && size == 0 || s.namespaces[to.Namespace].Public {
		return nil
	}
	rules, err := q.rulesOf(to.User)
	if err != nil {
		return err
	}
	limits := rules.Of(s.namespaces[to.Namespace].quotaName(to.Name))
	if limits.Ignored || limits == (quota.Limits{}) {
		return nil
	}
	use, err := s.usage(ctx, to.User, rules)
	if err != nil {
		return err
	}
	if !limits.Allows(use.bytes, use.messages, size, uint64(count)) {
		return backend.Errorf(backend.KindOverQuota, "%s", q.exceeded)
	}
	return nil
}

// checkCopy is checkQuota for a copy. A move changes nothing but between mailboxes that count and others, as with Dovecot.
func (s *Storage) checkCopy(ctx context.Context, m *openMailbox, r *backend.CopyRequest) error {
	q := s.settings.quota
	if q == nil || q.noEnforcing {
		return nil
	}
	if r.Move {
		rules, err := q.rulesOf(r.Mailbox.User)
		if err != nil {
			return err
		}
		if !rules.Of(s.namespaces[r.Mailbox.Namespace].quotaName(r.Mailbox.Name)).Ignored {
			return nil
		}
	}
	count, size, err := m.SizeOf(r.UIDs)
	if err != nil {
		return err
	}
	return s.checkQuota(ctx, r.Destination, size, count)
}
