package plugintest

import (
	"bytes"
	"fmt"

	"github.com/roostmail/roost/core/backend"
)

// metadataCases are those of backend.Metadata, if the plugin announces it.
func (s *writerSuite) metadataCases(t T) {
	m, ok := s.plugin.(backend.Metadata)
	if !ok {
		return
	}
	if !s.plugin.Info().Has(backend.CapMetadata) {
		_, err := m.GetMetadata(t.Context(), s.f.User, s.f.Namespace, []string{"INBOX"}, backend.MetadataQuery{Entries: []string{"/private/x"}})
		wantKind(t, "GetMetadata without the capability", err, backend.KindUnsupported)
		wantKind(t, "SetMetadata without the capability", m.SetMetadata(t.Context(), s.ref("INBOX"), nil), backend.KindUnsupported)
		lacks(t, "Metadata", backend.CapMetadata)
		return
	}
	t.Run("Metadata", func(t T) { s.metadata(t, m) })
}

// entries returns what a mailbox has of what is asked for, in the form "name=value".
func (s *writerSuite) entries(t T, m backend.Metadata, name string, q backend.MetadataQuery) (list []string) {
	t.Helper()
	all, err := m.GetMetadata(t.Context(), s.f.User, s.f.Namespace, []string{name}, q)
	if err != nil || len(all) != 1 || all[0].Err != nil {
		t.Fatalf("GetMetadata of %q: %+v, %v", name, all, err)
	}
	for _, e := range all[0].Entries {
		if e.Value == nil {
			t.Errorf("%s is there and has no value", e.Name)
		}
		list = append(list, fmt.Sprintf("%s=%q", e.Name, e.Value))
	}
	return list
}

func (s *writerSuite) metadata(t T, m backend.Metadata) {
	b := s.filled(t)
	name := b.ref.Name
	all := backend.MetadataQuery{Entries: []string{"/private", "/shared"}, Depth: backend.DepthInfinity}
	set := func(name string, changes ...backend.MetadataEntry) {
		t.Helper()
		if err := m.SetMetadata(t.Context(), below(b.ref, name), changes); err != nil {
			t.Fatalf("SetMetadata of %q: %v", name, err)
		}
	}
	want := func(what, name string, q backend.MetadataQuery, want ...string) {
		t.Helper()
		if got := s.entries(t, m, name, q); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s: %v, want %v", what, got, want)
		}
	}
	value := func(name, value string) backend.MetadataEntry {
		return backend.MetadataEntry{Name: name, Value: []byte(value)}
	}
	want("at first", name, all)
	set(name, value("/private/a", "1"), value("/private/a/b", ""), value("/private/a/b/c", "x\r\n\t\x01\xff\\\""), value("/shared/a", "2"))
	want("all", name, all, `/private/a="1"`, `/private/a/b=""`, fmt.Sprintf("/private/a/b/c=%q", "x\r\n\t\x01\xff\\\""), `/shared/a="2"`)
	want("depth 0", name, backend.MetadataQuery{Entries: []string{"/private/a", "/private/none"}}, `/private/a="1"`)
	want("depth 1", name, backend.MetadataQuery{Entries: []string{"/private/a"}, Depth: backend.DepthOne}, `/private/a="1"`, `/private/a/b=""`)
	set(name, backend.MetadataEntry{Name: "/private/a"}, backend.MetadataEntry{Name: "/private/none"}, value("/shared/a", "3"))
	want("after a removal", name, backend.MetadataQuery{Entries: []string{"/private/a", "/shared/a"}}, `/shared/a="3"`)

	set("", value("/private/a", "server"))
	want("the server's", "", all, `/private/a="server"`)
	if got := s.entries(t, m, "INBOX", all); len(got) > 0 {
		t.Errorf("the server's entries are INBOX's: %v", got)
	}
	set("", backend.MetadataEntry{Name: "/private/a"})

	large := bytes.Repeat([]byte("0123456789"), 6553)
	set(name, backend.MetadataEntry{Name: "/private/l1", Value: large}, backend.MetadataEntry{Name: "/private/l2", Value: large}, backend.MetadataEntry{Name: "/private/l3", Value: large})
	if got := s.entries(t, m, name, all); len(got) != 6 {
		t.Errorf("%d entries with three large ones, want 6", len(got))
	}

	err := m.SetMetadata(t.Context(), b.ref, []backend.MetadataEntry{value("/private/l1", "new"), {Name: "/private", Value: []byte("x")}})
	wantKind(t, "SetMetadata of /private", err, backend.KindInvalidArgument)
	want("after a refusal", name, backend.MetadataQuery{Entries: []string{"/private/l1"}}, fmt.Sprintf("/private/l1=%q", large))

	got, err := m.GetMetadata(t.Context(), s.f.User, s.f.Namespace, []string{"no such mailbox", name}, all)
	if err != nil || len(got) != 2 || got[0].Err == nil || got[0].Err.Kind != backend.KindNotFound || len(got[1].Entries) != 6 {
		t.Errorf("GetMetadata of two mailboxes: %+v, %v", got, err)
	}
	wantKind(t, "SetMetadata of a mailbox that is not there",
		m.SetMetadata(t.Context(), below(b.ref, "no such mailbox"), []backend.MetadataEntry{value("/private/a", "1")}), backend.KindNotFound)

	// They stay with a mailbox that gets another name, and not with its name.
	if err := s.writer().RenameMailbox(t.Context(), b.ref, name+"renamed"); err != nil {
		t.Fatal(err)
	}
	want("after a rename", name+"renamed", backend.MetadataQuery{Entries: []string{"/shared/a"}}, `/shared/a="3"`)
	for range 2 {
		if err := s.writer().DeleteMailbox(t.Context(), below(b.ref, name+"renamed")); err != nil {
			t.Fatal(err)
		}
		if err := s.writer().CreateMailbox(t.Context(), below(b.ref, name+"renamed")); err != nil {
			t.Fatal(err)
		}
		want("of a new mailbox", name+"renamed", all)
	}
}
