package plugintest

import (
	"fmt"

	"github.com/roostmail/roost/core/backend"
)

// aclCases are those of backend.ACL, if the plugin announces it.
func (s *writerSuite) aclCases(t T) {
	a, ok := s.plugin.(backend.ACL)
	if !ok {
		return
	}
	if !s.plugin.Info().Has(backend.CapACL) {
		_, err := a.MyRights(t.Context(), s.f.User, s.f.Namespace, []string{"INBOX"})
		wantKind(t, "MyRights without the capability", err, backend.KindUnsupported)
		wantKind(t, "SetACL without the capability", a.SetACL(t.Context(), s.ref("INBOX"), backend.ACLChange{}), backend.KindUnsupported)
		lacks(t, "ACL", backend.CapACL)
		return
	}
	t.Run("ACL", func(t T) { s.acl(t, a) })
}

// acl needs a namespace whose mailboxes belong to the user.
func (s *writerSuite) acl(t T, a backend.ACL) {
	b := s.filled(t)
	set := func(id string, negative bool, mode backend.StoreMode, rights backend.Rights) {
		t.Helper()
		c := backend.ACLChange{ACLEntry: backend.ACLEntry{Identifier: id, Negative: negative, Rights: rights}, Mode: mode}
		if err := a.SetACL(t.Context(), b.ref, c); err != nil {
			t.Fatalf("SetACL %+v: %v", c, err)
		}
	}
	want := func(what string, want ...string) {
		t.Helper()
		list, err := a.GetACL(t.Context(), b.ref)
		if err != nil {
			t.Fatalf("GetACL: %v", err)
		}
		got := map[string]bool{}
		for _, e := range list {
			if e.Identifier != s.f.User.Name && e.Identifier != "owner" {
				got[fmt.Sprintf("%s %v %d", e.Identifier, e.Negative, e.Rights)] = true
			}
		}
		if len(got) != len(want) {
			t.Errorf("%s: %v, want %v", what, got, want)
		}
		for _, w := range want {
			if !got[w] {
				t.Errorf("%s: %v, want %v", what, got, want)
			}
		}
	}
	const lookup, read, write = backend.RightLookup, backend.RightRead, backend.RightWrite
	set("bob", false, backend.StoreReplace, lookup|write)
	set("bob", false, backend.StoreAdd, read)
	set("bob", false, backend.StoreRemove, write)
	set("us er", true, backend.StoreReplace, read)
	want("after SetACL", fmt.Sprintf("bob false %d", lookup|read), fmt.Sprintf("us er true %d", read))
	for range 2 { // the second time there is nothing to remove
		if err := a.DeleteACL(t.Context(), b.ref, "us er", true); err != nil {
			t.Fatalf("DeleteACL: %v", err)
		}
	}
	want("after DeleteACL", fmt.Sprintf("bob false %d", lookup|read))

	all, err := a.MyRights(t.Context(), s.f.User, s.f.Namespace, []string{b.ref.Name, "INBOX"})
	if err != nil || len(all) != 2 || all[0].Err != nil || all[0].Rights != backend.AllRights || all[1].Err != nil {
		t.Fatalf("MyRights: %+v, %v", all, err)
	}
	set("owner", false, backend.StoreReplace, lookup|backend.RightAdmin)
	if all, err = a.MyRights(t.Context(), s.f.User, s.f.Namespace, []string{b.ref.Name}); err != nil || all[0].Rights != lookup|backend.RightAdmin {
		t.Errorf("MyRights of an owner who has given up most: %+v, %v", all, err)
	}
	_, err = s.plugin.(backend.Storage).Open(t.Context(), b.ref)
	wantKind(t, "Open without the right to", err, backend.KindNoPermission)
	set("owner", false, backend.StoreReplace, backend.AllRights)

	_, err = a.GetACL(t.Context(), below(b.ref, "no such mailbox"))
	wantKind(t, "GetACL of a mailbox that is not there", err, backend.KindNotFound)
	err = a.SetACL(t.Context(), below(b.ref, "no such mailbox"), backend.ACLChange{ACLEntry: backend.ACLEntry{Identifier: "bob"}})
	wantKind(t, "SetACL of a mailbox that is not there", err, backend.KindNotFound)
}
