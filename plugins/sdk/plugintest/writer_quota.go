package plugintest

import (
	"slices"

	"github.com/roostmail/roost/core/backend"
)

// quotaCases are those of backend.Quota, if the plugin announces it. The limits must leave room for all other cases.
func (s *writerSuite) quotaCases(t T) {
	q, ok := s.plugin.(backend.Quota)
	if !ok {
		return
	}
	if !s.plugin.Info().Has(backend.CapQuota) {
		_, err := q.Quota(t.Context(), s.f.User)
		wantKind(t, "Quota without the capability", err, backend.KindUnsupported)
		lacks(t, "Quota", backend.CapQuota)
		return
	}
	t.Run("Quota", func(t T) {
		b := s.filled(t)
		before := s.resources(t, q)
		const size = 3000
		b.append(t, draft(mail("counted", size)))
		after := s.resources(t, q)
		if len(after) != len(before) || len(after) == 0 {
			t.Fatalf("resources were %v, are %v", before, after)
		}
		for kind, use := range after {
			more := use - before[kind]
			switch {
			case kind == backend.QuotaStorage && (more < size/2 || more > 2*size), kind == backend.QuotaMessage && more != 1:
				t.Errorf("a message of about %d bytes made %d more of resource %d", size, more, kind)
			}
		}
	})
}

// resources returns what is used of the root of the suite's namespace.
func (s *writerSuite) resources(t T, q backend.Quota) map[backend.QuotaKind]uint64 {
	t.Helper()
	roots, err := q.Quota(t.Context(), s.f.User)
	if err != nil {
		t.Fatalf("Quota: %v", err)
	}
	use := map[backend.QuotaKind]uint64{}
	for _, root := range roots {
		if !slices.Contains(root.Namespaces, s.f.Namespace) {
			continue
		}
		for _, r := range root.Resources {
			if r.Limit == 0 || r.Usage > r.Limit {
				t.Errorf("root %q: usage %d of %d", root.Name, r.Usage, r.Limit)
			}
			use[r.Kind] = r.Usage
		}
	}
	return use
}
