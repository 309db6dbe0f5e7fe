package pluginrpc

import (
	"context"
	"io"
	"os"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/roostmail/roost/core/backend"
	authv1 "github.com/roostmail/roost/proto/roost/auth/v1"
	pluginv1 "github.com/roostmail/roost/proto/roost/plugin/v1"
)

// frozenPlugin is a plugin that was built from the descriptors of a release, without any generated code: what it knows of the protocol is in the
// file. later is what a later version of the protocol, or of the plugin, adds to its answers.
type frozenPlugin struct {
	files   *protoregistry.Files
	answers map[string]func(request, response *dynamicpb.Message) // by method; nil: an empty response
	later   func(method string, response *dynamicpb.Message)
}

func loadFrozen(t *testing.T) *frozenPlugin {
	t.Helper()
	b, err := os.ReadFile("../../proto/frozen/v0.1.binpb")
	if err != nil {
		t.Fatal(err)
	}
	set := &descriptorpb.FileDescriptorSet{}
	if err := proto.Unmarshal(b, set); err != nil {
		t.Fatal(err)
	}
	files, err := protodesc.NewFiles(set)
	if err != nil {
		t.Fatal(err)
	}
	return &frozenPlugin{files: files, answers: map[string]func(request, response *dynamicpb.Message){}}
}

// set sets fields of a message by their names.
func set(m *dynamicpb.Message, fields map[string]any) {
	for name, v := range fields {
		fd := m.Descriptor().Fields().ByName(protoreflect.Name(name))
		if fd == nil {
			panic("no field " + name)
		}
		switch v := v.(type) {
		case []string:
			l := m.Mutable(fd).List()
			for _, s := range v {
				l.Append(protoreflect.ValueOfString(s))
			}
		case map[string]any:
			inner := dynamicpb.NewMessage(fd.Message())
			set(inner, v)
			m.Set(fd, protoreflect.ValueOfMessage(inner))
		default:
			m.Set(fd, protoreflect.ValueOf(v))
		}
	}
}

func get(m *dynamicpb.Message, name protoreflect.Name) protoreflect.Value {
	return m.Get(m.Descriptor().Fields().ByName(name))
}

// register serves every service of the frozen files, of the given packages.
func (p *frozenPlugin) register(r grpc.ServiceRegistrar, packages ...protoreflect.FullName) {
	p.files.RangeFiles(func(f protoreflect.FileDescriptor) bool {
		if !slices.Contains(packages, f.Package()) {
			return true
		}
		for i := range f.Services().Len() {
			s := f.Services().Get(i)
			desc := &grpc.ServiceDesc{ServiceName: string(s.FullName()), HandlerType: (*any)(nil)}
			for k := range s.Methods().Len() {
				m := s.Methods().Get(k)
				desc.Streams = append(desc.Streams, grpc.StreamDesc{StreamName: string(m.Name()), ServerStreams: true, ClientStreams: true,
					Handler: func(_ any, ss grpc.ServerStream) error { return p.answer(m, ss) }})
			}
			r.RegisterService(desc, p)
		}
		return true
	})
}

// answer answers a unary call.
func (p *frozenPlugin) answer(m protoreflect.MethodDescriptor, ss grpc.ServerStream) error {
	req := dynamicpb.NewMessage(m.Input())
	if err := ss.RecvMsg(req); err != nil && err != io.EOF {
		return err
	}
	resp := dynamicpb.NewMessage(m.Output())
	if f := p.answers[string(m.Name())]; f != nil {
		f(req, resp)
	}
	if p.later != nil {
		p.later(string(m.Name()), resp)
	}
	return ss.SendMsg(resp)
}

// frozenAuth is an auth plugin of release v0.1.
func frozenAuth(t *testing.T) *frozenPlugin {
	p := loadFrozen(t)
	p.answers["Info"] = func(_, resp *dynamicpb.Message) {
		set(resp, map[string]any{"kind": "auth", "name": "frozen", "version": "0.1.0", "description": "of long ago", "capabilities": []string{backend.CapUserLookup}})
	}
	p.answers["VerifyPassword"] = func(req, resp *dynamicpb.Message) {
		if string(get(req, "password").Bytes()) == "secret" {
			set(resp, map[string]any{"user": map[string]any{"name": strings.ToLower(string(get(req, "user").Bytes()))}})
		}
	}
	p.answers["LookupUser"] = func(req, resp *dynamicpb.Message) {
		set(resp, map[string]any{"user": map[string]any{"name": get(req, "name").String()}})
	}
	return p
}

func (p *frozenPlugin) connect(t *testing.T, kind protoreflect.FullName) (backend.Plugin, error) {
	t.Helper()
	c, err := New(t.Context(), serve(t, nil, func(r grpc.ServiceRegistrar) { p.register(r, "roost.plugin.v1", kind) }), ClientOptions{})
	if err != nil {
		return nil, err
	}
	return c, c.Configure(t.Context(), backend.Config{Options: map[string]any{"path": "x", "list": []string{"a"}}})
}

func useAuth(t *testing.T, c backend.Plugin) {
	t.Helper()
	a := c.(*Auth)
	id, err := a.VerifyPassword(t.Context(), backend.PasswordRequest{User: "JANE", Password: "secret", Service: "imap"})
	if err != nil || id.User.Name != "jane" {
		t.Errorf("VerifyPassword: %+v, %v", id, err)
	}
	if u, err := a.LookupUser(t.Context(), "joe"); err != nil || u.Name != "joe" {
		t.Errorf("LookupUser: %+v, %v", u, err)
	}
	if err := a.Health(t.Context()); err != nil {
		t.Errorf("Health: %v", err)
	}
}

// TestFrozenPluginWorks: a plugin that was built for a release works under the present core.
func TestFrozenPluginWorks(t *testing.T) {
	c, err := frozenAuth(t).connect(t, "roost.auth.v1")
	if err != nil {
		t.Fatal(err)
	}
	useAuth(t, c)
	if _, err := c.(*Auth).StepSASL(t.Context(), backend.SASLRequest{Mechanism: "LATER"}); err == nil || backend.KindOf(err) == backend.KindInternal {
		t.Errorf("a capability that the plugin does not have: %v", err)
	}
}

// TestFrozenPluginWorksAfterAnAddition: the present protocol grows by a capability with a call of its own, by fields of requests and by enum values. The
// plugin that knows none of it is asked as before.
func TestFrozenPluginWorksAfterAnAddition(t *testing.T) {
	p := frozenAuth(t)
	var seen int
	inner := p.answers["VerifyPassword"]
	p.answers["VerifyPassword"] = func(req, resp *dynamicpb.Message) {
		seen = len(req.GetUnknown())
		inner(req, resp)
	}
	conn := serve(t, nil, func(r grpc.ServiceRegistrar) { p.register(r, "roost.plugin.v1", "roost.auth.v1") })
	c, err := New(t.Context(), conn, ClientOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Configure(t.Context(), backend.Config{}); err != nil {
		t.Fatal(err)
	}
	// The request of a later core: what is there today, and a field that is not.
	req := &authv1.VerifyPasswordRequest{User: []byte("JANE"), Password: []byte("secret")}
	req.ProtoReflect().SetUnknown([]byte{0xfa, 0xff, 0x7f, 3, 'n', 'e', 'w'})
	resp, err := authv1.NewAuthClient(conn).VerifyPassword(t.Context(), req)
	if err != nil || resp.GetUser().GetName() != "jane" || seen == 0 {
		t.Errorf("with a field of later: %v, %v, %d bytes unknown", resp, err, seen)
	}
	// A call of a later core, which no capability of the plugin announces.
	err = conn.Invoke(t.Context(), "/roost.auth.v1.Auth/CallOfLater", req, &pluginv1.HealthResponse{})
	if kind := backend.KindOf(fromStatus(context.Background(), "frozen", err)); kind != backend.KindUnsupported {
		t.Errorf("a call of later: %v (%v)", err, kind)
	}
	useAuth(t, c)
}

// TestWhatIsNewerIsIgnored: capabilities, options, fields and enum values of a plugin that is newer than this core.
func TestWhatIsNewerIsIgnored(t *testing.T) {
	p := frozenAuth(t)
	p.later = func(method string, resp *dynamicpb.Message) {
		resp.SetUnknown([]byte{0xfa, 0xff, 0x7f, 3, 'n', 'e', 'w', 0xf8, 0xff, 0x7f, 1})
		if method != "Info" {
			return
		}
		caps := resp.Mutable(resp.Descriptor().Fields().ByName("capabilities")).List()
		caps.Append(protoreflect.ValueOfString("teleportation"))
		fd := resp.Descriptor().Fields().ByName("options")
		o := dynamicpb.NewMessage(fd.Message())
		set(o, map[string]any{"name": "path", "type": "type-of-later", "help": "something"})
		resp.Mutable(fd).List().Append(protoreflect.ValueOfMessage(o))
	}
	c, err := p.connect(t, "roost.auth.v1")
	if err != nil {
		t.Fatal(err)
	}
	if i := c.Info(); !i.Has("teleportation") || !i.Has(backend.CapUserLookup) || len(i.Options) != 1 || i.Options[0].Type != "type-of-later" {
		t.Errorf("info %+v", i)
	}
	useAuth(t, c)

	// An error of a kind that is not known is an internal one; its text is kept.
	e := errorFromProto(&pluginv1.Error{Kind: 4711, Message: "new"})
	if e.Kind != backend.KindInternal || e.Message != "new" {
		t.Errorf("an error kind of later: %+v", e)
	}
}

// TestWhatIsNewerAndDecidesIsRefused: to guess what an unknown action or kind means would be worse than to do without.
func TestWhatIsNewerAndDecidesIsRefused(t *testing.T) {
	p := loadFrozen(t)
	p.answers["Info"] = func(_, resp *dynamicpb.Message) {
		set(resp, map[string]any{"kind": "hibernation", "name": "frozen", "version": "0.1.0", "description": "of long ago"})
	}
	action := byte(backend.ActionPark)
	p.answers["Decide"] = func(req, resp *dynamicpb.Message) {
		set(resp, map[string]any{"ids": get(req, "ids").Bytes(), "actions": []byte{action}, "again": []byte{0, 0, 0, 0}})
	}
	c, err := p.connect(t, "roost.hibernation.v1")
	if err != nil {
		t.Fatal(err)
	}
	b := &backend.HibernationBatch{IDs: []uint32{7}, Keys: []uint64{1}, UserKeys: []uint64{1}, Idle: []uint32{1}, Gaps: []uint32{1}, Wakes: []uint32{1},
		Sessions: []uint32{1}, Bytes: []uint64{1}, States: []backend.HibernationState{backend.StateWarm}}
	h := c.(*Hibernation)
	if a, err := h.Decide(t.Context(), b); err != nil || a.Actions[0] != backend.ActionPark {
		t.Errorf("a known action: %+v, %v", a, err)
	}
	action = 200
	if a, err := h.Decide(t.Context(), b); err == nil || !strings.Contains(err.Error(), "plugin frozen broke the protocol") || !strings.Contains(err.Error(), "unknown action 200") {
		t.Errorf("an action of later: %+v, %v", a, err)
	}
	p.answers["Info"] = func(_, resp *dynamicpb.Message) { set(resp, map[string]any{"kind": "telepathy", "name": "frozen"}) }
	if _, err := p.connect(t, "roost.auth.v1"); err == nil || !strings.Contains(err.Error(), `unknown kind "telepathy"`) {
		t.Errorf("a kind of later: %v", err)
	}
}
