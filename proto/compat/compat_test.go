package compat_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"

	"github.com/roostmail/roost/proto/compat"
	_ "github.com/roostmail/roost/proto/roost/auth/v1"
	_ "github.com/roostmail/roost/proto/roost/hibernation/v1"
	_ "github.com/roostmail/roost/proto/roost/notify/v1"
	_ "github.com/roostmail/roost/proto/roost/plugin/v1"
	_ "github.com/roostmail/roost/proto/roost/state/v1"
	_ "github.com/roostmail/roost/proto/roost/storage/v1"
)

const root = "../.."

func TestNothingThatWasReleasedIsBroken(t *testing.T) {
	breaks, err := compat.CheckReleased(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range breaks {
		t.Error(b)
	}
}

// TestDescriptorsArePresent: descriptors.binpb is of the same .proto files as the Go code, and of all of them.
func TestDescriptorsArePresent(t *testing.T) {
	set, err := compat.Load(filepath.Join(root, compat.Present))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range set.File {
		got = append(got, f.GetName())
		generated, err := protoregistry.GlobalFiles.FindFileByPath(f.GetName())
		if err != nil {
			t.Errorf("%s: %v", f.GetName(), err)
			continue
		}
		if want := protodesc.ToFileDescriptorProto(generated); !proto.Equal(f, want) {
			t.Errorf("%s: %s and the Go code differ: run make proto", f.GetName(), compat.Present)
		}
	}
	var want []string
	files, err := filepath.Glob(filepath.Join(root, "proto/roost/*/v*/*.proto"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		want = append(want, strings.TrimPrefix(filepath.ToSlash(f), root+"/proto/"))
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("descriptors of %q, files %q: run make proto", got, want)
	}
}

// base is a set with something of everything.
const base = `file {
  name: "x.proto" package: "x" syntax: "proto3"
  message_type {
    name: "M"
    field { name: "a" number: 1 type: TYPE_STRING label: LABEL_OPTIONAL }
    field { name: "b" number: 2 type: TYPE_UINT32 label: LABEL_REPEATED }
    field { name: "c" number: 3 type: TYPE_MESSAGE type_name: ".x.M.N" label: LABEL_OPTIONAL }
    field { name: "d" number: 4 type: TYPE_STRING label: LABEL_OPTIONAL oneof_index: 0 }
    nested_type { name: "N" field { name: "a" number: 1 type: TYPE_ENUM type_name: ".x.M.F" label: LABEL_OPTIONAL } }
    enum_type { name: "F" value { name: "Z" number: 0 } value { name: "Y" number: 1 } reserved_range { start: 5 end: 6 } }
    oneof_decl { name: "o" }
    reserved_range { start: 9 end: 11 }
  }
  enum_type { name: "E" value { name: "NONE" number: 0 } value { name: "ONE" number: 1 } }
  service {
    name: "S"
    method { name: "Call" input_type: ".x.M" output_type: ".x.M.N" }
    method { name: "Stream" input_type: ".x.M" output_type: ".x.M" client_streaming: true server_streaming: true }
  }
}`

func parse(t *testing.T, text string) *descriptorpb.FileDescriptorSet {
	t.Helper()
	s := &descriptorpb.FileDescriptorSet{}
	if err := prototext.Unmarshal([]byte(text), s); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestBreaks(t *testing.T) {
	type file = descriptorpb.FileDescriptorProto
	for _, c := range []struct {
		name string
		edit func(*file)
		want []string // nil: an addition
	}{
		{"nothing", func(*file) {}, nil},
		{"field removed", func(f *file) { f.MessageType[0].Field = f.MessageType[0].Field[1:] }, []string{"field 1 a of x.M is gone"}},
		{"field renumbered", func(f *file) { f.MessageType[0].Field[0].Number = proto.Int32(12) }, []string{"field 1 a of x.M is gone"}},
		{"field renamed", func(f *file) { f.MessageType[0].Field[0].Name = proto.String("z") }, []string{`field 1 a of x.M has another name: "z" was "a"`}},
		{"type changed", func(f *file) { f.MessageType[0].Field[0].Type = descriptorpb.FieldDescriptorProto_TYPE_BYTES.Enum() },
			[]string{`field 1 a of x.M has another type: "TYPE_BYTES" was "TYPE_STRING"`}},
		{"message of a field changed", func(f *file) { f.MessageType[0].Field[2].TypeName = proto.String(".x.M") },
			[]string{`field 3 c of x.M has another type: "TYPE_MESSAGE.x.M" was "TYPE_MESSAGE.x.M.N"`}},
		{"not repeated any more", func(f *file) {
			f.MessageType[0].Field[1].Label = descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL.Enum()
		},
			[]string{`field 2 b of x.M has another label: "LABEL_OPTIONAL" was "LABEL_REPEATED"`}},
		{"out of the oneof", func(f *file) { f.MessageType[0].Field[3].OneofIndex = nil }, []string{`field 4 d of x.M has another oneof: "" was "o"`}},
		{"into the oneof", func(f *file) { f.MessageType[0].Field[0].OneofIndex = proto.Int32(0) }, []string{`field 1 a of x.M has another oneof: "o" was ""`}},
		{"optional", func(f *file) { f.MessageType[0].Field[0].Proto3Optional = proto.Bool(true) }, []string{`field 1 a of x.M has another presence: "true" was "false"`}},
		{"reserved number free", func(f *file) { f.MessageType[0].ReservedRange[0].End = proto.Int32(10) }, []string{"number 10 of x.M is not reserved any more"}},
		{"message removed", func(f *file) { f.MessageType[0].NestedType = nil }, []string{"message x.M.N is gone"}},
		{"package renamed", func(f *file) { f.Package = proto.String("y") },
			[]string{"enum x.E is gone", "enum x.M.F is gone", "message x.M is gone", "message x.M.N is gone", "service x.S is gone"}},
		{"enum value removed", func(f *file) { f.EnumType[0].Value = f.EnumType[0].Value[:1] }, []string{"value 1 ONE of x.E is gone"}},
		{"enum value renumbered", func(f *file) { f.EnumType[0].Value[1].Number = proto.Int32(2) }, []string{"value 1 ONE of x.E is gone"}},
		{"enum value renamed", func(f *file) { f.EnumType[0].Value[1].Name = proto.String("UN") }, []string{`value 1 of x.E has another name: "UN" was "ONE"`}},
		{"nested enum value removed", func(f *file) { f.MessageType[0].EnumType[0].Value = f.MessageType[0].EnumType[0].Value[:1] }, []string{"value 1 Y of x.M.F is gone"}},
		{"reserved enum number free", func(f *file) { f.MessageType[0].EnumType[0].ReservedRange = nil }, []string{"numbers 5 to 6 of x.M.F are not reserved any more"}},
		{"method removed", func(f *file) { f.Service[0].Method = f.Service[0].Method[1:] }, []string{"method x.S.Call is gone"}},
		{"request changed", func(f *file) { f.Service[0].Method[0].InputType = proto.String(".x.M.N") }, []string{"method x.S.Call has another request: .x.M.N was .x.M"}},
		{"response changed", func(f *file) { f.Service[0].Method[0].OutputType = proto.String(".x.M") }, []string{"method x.S.Call has another response: .x.M was .x.M.N"}},
		{"response streamed", func(f *file) { f.Service[0].Method[0].ServerStreaming = proto.Bool(true) }, []string{"method x.S.Call has another stream of responses: true was false"}},
		{"request not streamed", func(f *file) { f.Service[0].Method[1].ClientStreaming = nil }, []string{"method x.S.Stream has another stream of requests: false was true"}},
		{"service removed", func(f *file) { f.Service = nil }, []string{"service x.S is gone"}},

		{"field added", func(f *file) {
			f.MessageType[0].Field = append(f.MessageType[0].Field, &descriptorpb.FieldDescriptorProto{Name: proto.String("n"), Number: proto.Int32(20)})
		}, nil},
		{"number reserved", func(f *file) {
			f.MessageType[0].ReservedRange = append(f.MessageType[0].ReservedRange, &descriptorpb.DescriptorProto_ReservedRange{Start: proto.Int32(30), End: proto.Int32(31)})
		}, nil},
		{"value added", func(f *file) {
			f.EnumType[0].Value = append(f.EnumType[0].Value, &descriptorpb.EnumValueDescriptorProto{Name: proto.String("TWO"), Number: proto.Int32(2)})
		}, nil},
		{"method added", func(f *file) {
			f.Service[0].Method = append(f.Service[0].Method, &descriptorpb.MethodDescriptorProto{Name: proto.String("New")})
		}, nil},
		{"moved to another file", func(f *file) { f.Name = proto.String("y.proto") }, nil},
		{"order", func(f *file) { slices.Reverse(f.MessageType[0].Field) }, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			newer := parse(t, base)
			c.edit(newer.File[0])
			if got := compat.Compare(parse(t, base), newer); !slices.Equal(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

// TestBreakAgainstTag: in a repository whose last tag has descriptors, these count too.
func TestBreakAgainstTag(t *testing.T) {
	dir := t.TempDir()
	write := func(file, text string) {
		t.Helper()
		b, err := proto.Marshal(parse(t, text))
		if err != nil {
			t.Fatal(err)
		}
		file = filepath.Join(dir, file)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	git := func(args ...string) {
		t.Helper()
		cmd := exec.Command("git", append([]string{"-C", dir, "-c", "user.name=x", "-c", "user.email=x@example.org"}, args...)...)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("git %v: %v: %s", args, err, out)
		}
	}
	check := func(want ...string) {
		t.Helper()
		if got, err := compat.CheckReleased(dir); err != nil || !slices.Equal(got, want) {
			t.Errorf("got %q, %v, want %q", got, err, want)
		}
	}
	without := strings.Replace(base, `value { name: "ONE" number: 1 }`, "", 1)
	write(compat.Frozen+"/v0.1.binpb", without)
	write(compat.Present, base)
	check() // no repository
	git("init", "-q")
	git("add", ".")
	git("commit", "-q", "-m", "x")
	check() // no tag
	git("tag", "v0.1.0")
	check()
	write(compat.Present, without)
	check("tag v0.1.0: value 1 ONE of x.E is gone")
	write(compat.Frozen+"/v0.2.binpb", base)
	check("v0.2: value 1 ONE of x.E is gone", "tag v0.1.0: value 1 ONE of x.E is gone")
}

func TestWithoutDescriptors(t *testing.T) {
	if _, err := compat.CheckReleased(t.TempDir()); err == nil {
		t.Error("nothing to check, and no error")
	}
}

// TestCommentsOfServicesHaveNoBackslash: protoc's plugin for Python makes strings of them, in which "\N" is a syntax error: the modules could not be loaded.
func TestCommentsOfServicesHaveNoBackslash(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(root, "proto/roost/*/v1/*.proto"))
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		within, n := false, 0
		for line := range strings.Lines(string(b)) {
			n++
			within = within && !strings.HasPrefix(line, "}") || strings.HasPrefix(line, "service ")
			if within && strings.Contains(line, `\`) {
				t.Errorf("%s:%d: %s", file, n, line)
			}
		}
	}
}
