package imap

import (
	"slices"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/core/imapwire"
)

// capabilitiesQuota are announced if storage has quotas (RFC 9208 §3.1, §6).
const capabilitiesQuota = " QUOTA QUOTA=RES-STORAGE QUOTA=RES-MESSAGE"

func withQuota(srv *Server) bool { return srv.quota != nil }

// quotaKinds has the names of resources (RFC 9208 §5), and how many units of storage are one of theirs.
var quotaKinds = map[backend.QuotaKind]struct {
	name string
	unit uint64
}{
	backend.QuotaStorage: {"STORAGE", 1024}, // RFC 9208 §5.1
	backend.QuotaMessage: {"MESSAGE", 1},    // §5.2
	backend.QuotaMailbox: {"MAILBOX", 1},    // §5.3
}

// GETQUOTA (RFC 9208 §4.1.1): SP quota-root-name.
func runGetQuota(r *request) error {
	r.d.SP()
	name := r.d.AString()
	if err := r.end(); err != nil {
		return err
	}
	roots, err := r.quotaRoots()
	if err != nil {
		return err
	}
	i := slices.IndexFunc(roots, func(q backend.QuotaRoot) bool { return q.Name == string(name) })
	if i < 0 {
		return no("NONEXISTENT", "Quota root doesn't exist")
	}
	return r.writeQuota(&roots[i])
}

// GETQUOTAROOT (RFC 9208 §4.1.2): SP mailbox, which need not exist. The answer is QUOTAROOT (§4.2.2), and QUOTA for each root.
func runGetQuotaRoot(r *request) error {
	raw, err := r.onlyMailbox()
	if err != nil {
		return err
	}
	namespace := r.srv.names.inbox.Name
	if len(raw) > 0 { // else as Dovecot
		ref, err := r.ref(raw)
		if err != nil {
			return err
		}
		namespace = ref.Namespace
	}
	roots, err := r.quotaRoots()
	if err != nil {
		return err
	}
	roots = slices.DeleteFunc(roots, func(q backend.QuotaRoot) bool {
		return len(q.Resources) == 0 || !slices.Contains(q.Namespaces, namespace)
	})
	b := r.s.Buffer()
	*b = r.appendSent(append(*b, "* QUOTAROOT "...), raw)
	for i := range roots {
		*b = appendRoot(append(*b, ' '), roots[i].Name)
	}
	*b = append(*b, '\r', '\n')
	if r.s.Commit() != nil {
		return errNoReply
	}
	for i := range roots {
		if err := r.writeQuota(&roots[i]); err != nil {
			return err
		}
	}
	return nil
}

// quotaRoots counts what the user has.
func (r *request) quotaRoots() (roots []backend.QuotaRoot, err error) {
	r.during(func() { roots, err = r.srv.quota.Quota(r.ctx, r.user()) })
	return roots, err
}

// SETQUOTA (RFC 9208 §4.1.3): SP quota-root-name SP "(" [name SP limit *(SP name SP limit)] ")". Limits are the administrator's: they
// are in the configuration, or with the user.
func runSetQuota(r *request) error {
	r.d.SP()
	r.d.AString()
	r.d.SP()
	r.d.List(func() {
		r.d.Word()
		r.d.SP()
		r.d.Number64()
	})
	if err := r.end(); err != nil {
		return err
	}
	return no("NOPERM", "Quota can be changed only by admin")
}

// writeQuota writes the QUOTA response of a root (RFC 9208 §4.2.1). One without limits has none, as with Dovecot.
func (r *request) writeQuota(q *backend.QuotaRoot) error {
	if len(q.Resources) == 0 {
		return nil
	}
	b := r.s.Buffer()
	*b = append(appendRoot(append(*b, "* QUOTA "...), q.Name), " ("...)
	for i, x := range q.Resources {
		if i > 0 {
			*b = append(*b, ' ')
		}
		kind := quotaKinds[x.Kind]
		*b = append(append(*b, kind.name...), ' ')
		*b = imapwire.AppendNumber(*b, unitsOf(x.Usage, kind.unit))
		*b = append(*b, ' ')
		*b = imapwire.AppendNumber(*b, unitsOf(x.Limit, kind.unit))
	}
	*b = append(*b, ")\r\n"...)
	if r.s.Commit() != nil {
		return errNoReply
	}
	return nil
}

// unitsOf returns how many units n is, rounded up.
func unitsOf(n, unit uint64) uint64 { return (n + unit - 1) / unit }

// appendRoot appends the name of a quota root, quoted as Dovecot does if that is possible.
func appendRoot(b []byte, name string) []byte { return imapwire.AppendString(b, name) }
