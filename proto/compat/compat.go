// Package compat finds what a change of the .proto files would break for plugins that exist already.
//
// What was released only grows. Between an older and a newer set of descriptors these are breaks:
//
//   - a message, enum, service, method, field or enum value is not there any more, or has another name under its number;
//   - a field has another type, or is repeated, or part of a oneof, or optional, where it was not, or the other way round;
//   - a method has other messages, or streams where it did not, or the other way round;
//   - a reserved number is free again.
//
// Everything else is an addition, which plugins have to ignore if they do not know it (docs/VERSIONING.md).
package compat

import (
	"fmt"
	"slices"

	"google.golang.org/protobuf/types/descriptorpb"
)

// Compare returns what in newer breaks older, one line each, sorted; nil if nothing does.
func Compare(older, newer *descriptorpb.FileDescriptorSet) []string {
	c := comparison{now: index(newer)}
	c.all(index(older))
	slices.Sort(c.breaks)
	return c.breaks
}

// parts are the named elements of a set, by full name.
type parts struct {
	messages map[string]*descriptorpb.DescriptorProto
	enums    map[string]*descriptorpb.EnumDescriptorProto
	services map[string]*descriptorpb.ServiceDescriptorProto
}

func index(s *descriptorpb.FileDescriptorSet) parts {
	p := parts{map[string]*descriptorpb.DescriptorProto{}, map[string]*descriptorpb.EnumDescriptorProto{}, map[string]*descriptorpb.ServiceDescriptorProto{}}
	for _, f := range s.GetFile() {
		for _, m := range f.MessageType {
			p.message(f.GetPackage(), m)
		}
		for _, e := range f.EnumType {
			p.enums[f.GetPackage()+"."+e.GetName()] = e
		}
		for _, s := range f.Service {
			p.services[f.GetPackage()+"."+s.GetName()] = s
		}
	}
	return p
}

func (p parts) message(scope string, m *descriptorpb.DescriptorProto) {
	name := scope + "." + m.GetName()
	p.messages[name] = m
	for _, n := range m.NestedType {
		p.message(name, n)
	}
	for _, e := range m.EnumType {
		p.enums[name+"."+e.GetName()] = e
	}
}

// comparison collects breaks.
type comparison struct {
	now    parts
	breaks []string
}

func (c *comparison) add(format string, args ...any) {
	c.breaks = append(c.breaks, fmt.Sprintf(format, args...))
}

func (c *comparison) all(old parts) {
	for name, m := range old.messages {
		if now := c.now.messages[name]; now != nil {
			c.message(name, m, now)
		} else {
			c.add("message %s is gone", name)
		}
	}
	for name, e := range old.enums {
		if now := c.now.enums[name]; now != nil {
			c.enum(name, e, now)
		} else {
			c.add("enum %s is gone", name)
		}
	}
	for name, s := range old.services {
		if now := c.now.services[name]; now != nil {
			c.service(name, s, now)
		} else {
			c.add("service %s is gone", name)
		}
	}
}

func (c *comparison) message(name string, old, now *descriptorpb.DescriptorProto) {
	byNumber := map[int32]*descriptorpb.FieldDescriptorProto{}
	for _, f := range now.Field {
		byNumber[f.GetNumber()] = f
	}
	for _, f := range old.Field {
		n := byNumber[f.GetNumber()]
		if n == nil {
			c.add("field %d %s of %s is gone", f.GetNumber(), f.GetName(), name)
			continue
		}
		c.field(name, old, now, f, n)
	}
	for _, r := range old.ReservedRange {
		for number := r.GetStart(); number < r.GetEnd(); number++ {
			if !slices.ContainsFunc(now.ReservedRange, func(r *descriptorpb.DescriptorProto_ReservedRange) bool {
				return r.GetStart() <= number && number < r.GetEnd()
			}) {
				c.add("number %d of %s is not reserved any more", number, name)
			}
		}
	}
}

func (c *comparison) field(message string, oldMessage, nowMessage *descriptorpb.DescriptorProto, old, now *descriptorpb.FieldDescriptorProto) {
	what := fmt.Sprintf("field %d %s of %s", old.GetNumber(), old.GetName(), message)
	for _, p := range []struct{ aspect, old, now string }{
		{"name", old.GetName(), now.GetName()},
		{"type", typeOf(old), typeOf(now)},
		{"label", old.GetLabel().String(), now.GetLabel().String()},
		{"oneof", oneofOf(oldMessage, old), oneofOf(nowMessage, now)},
		{"presence", fmt.Sprint(old.GetProto3Optional()), fmt.Sprint(now.GetProto3Optional())},
	} {
		if p.old != p.now {
			c.add("%s has another %s: %q was %q", what, p.aspect, p.now, p.old)
		}
	}
}

// typeOf returns the type of a field, with the name of its message or enum.
func typeOf(f *descriptorpb.FieldDescriptorProto) string {
	return f.GetType().String() + f.GetTypeName()
}

// oneofOf returns the name of the oneof that a field is part of, "" if none.
func oneofOf(m *descriptorpb.DescriptorProto, f *descriptorpb.FieldDescriptorProto) string {
	if f.OneofIndex == nil || f.GetProto3Optional() {
		return ""
	}
	return m.OneofDecl[f.GetOneofIndex()].GetName()
}

func (c *comparison) enum(name string, old, now *descriptorpb.EnumDescriptorProto) {
	for _, v := range old.Value {
		i := slices.IndexFunc(now.Value, func(n *descriptorpb.EnumValueDescriptorProto) bool { return n.GetNumber() == v.GetNumber() })
		switch {
		case i < 0:
			c.add("value %d %s of %s is gone", v.GetNumber(), v.GetName(), name)
		case now.Value[i].GetName() != v.GetName():
			c.add("value %d of %s has another name: %q was %q", v.GetNumber(), name, now.Value[i].GetName(), v.GetName())
		}
	}
	for _, r := range old.ReservedRange {
		if !slices.ContainsFunc(now.ReservedRange, func(n *descriptorpb.EnumDescriptorProto_EnumReservedRange) bool {
			return n.GetStart() <= r.GetStart() && r.GetEnd() <= n.GetEnd()
		}) {
			c.add("numbers %d to %d of %s are not reserved any more", r.GetStart(), r.GetEnd(), name)
		}
	}
}

func (c *comparison) service(name string, old, now *descriptorpb.ServiceDescriptorProto) {
	for _, m := range old.Method {
		i := slices.IndexFunc(now.Method, func(n *descriptorpb.MethodDescriptorProto) bool { return n.GetName() == m.GetName() })
		if i < 0 {
			c.add("method %s.%s is gone", name, m.GetName())
			continue
		}
		n := now.Method[i]
		for _, p := range []struct {
			aspect   string
			old, now any
		}{
			{"request", m.GetInputType(), n.GetInputType()},
			{"response", m.GetOutputType(), n.GetOutputType()},
			{"stream of requests", m.GetClientStreaming(), n.GetClientStreaming()},
			{"stream of responses", m.GetServerStreaming(), n.GetServerStreaming()},
		} {
			if p.old != p.now {
				c.add("method %s.%s has another %s: %v was %v", name, m.GetName(), p.aspect, p.now, p.old)
			}
		}
	}
}
