package pluginrpc

import (
	"fmt"
	"unicode/utf8"

	"github.com/roostmail/roost/core/backend"
	pluginv1 "github.com/roostmail/roost/proto/roost/plugin/v1"
)

// Conversions between core/backend and roost.plugin.v1, in pairs. Those from
// the wire check what the wire can get wrong.

func fieldsToProto(m map[string]string) map[string][]byte {
	if len(m) == 0 {
		return nil
	}
	out := make(map[string][]byte, len(m))
	for k, v := range m {
		out[utf8Text(k)] = []byte(v)
	}
	return out
}

func fieldsFromProto(m map[string][]byte) map[string]string {
	if len(m) == 0 {
		return nil
	}
	out := make(map[string]string, len(m))
	for k, v := range m {
		out[k] = string(v)
	}
	return out
}

func userToProto(u *backend.User) *pluginv1.User {
	if u == nil {
		return nil
	}
	return &pluginv1.User{Name: utf8Text(u.Name), Fields: fieldsToProto(u.Fields)}
}

// userFromProto never returns nil: storage may rely on MailboxRef.User.
func userFromProto(p *pluginv1.User) *backend.User {
	return &backend.User{Name: p.GetName(), Fields: fieldsFromProto(p.GetFields())}
}

func infoToProto(i backend.Info) *pluginv1.InfoResponse {
	p := &pluginv1.InfoResponse{
		Kind:        string(i.Kind),
		Name:        utf8Text(i.Name),
		Version:     utf8Text(i.Version),
		Description: utf8Text(i.Description),
	}
	for _, c := range i.Capabilities {
		p.Capabilities = append(p.Capabilities, utf8Text(c))
	}
	for _, o := range i.Options {
		p.Options = append(p.Options, &pluginv1.Option{
			Name:     utf8Text(o.Name),
			Type:     string(o.Type),
			Required: o.Required,
			Default:  utf8Text(o.Default),
			Help:     utf8Text(o.Help),
			Secret:   o.Secret,
		})
	}
	return p
}

func infoFromProto(p *pluginv1.InfoResponse) backend.Info {
	i := backend.Info{
		Kind:         backend.Kind(p.Kind),
		Name:         p.Name,
		Version:      p.Version,
		Description:  p.Description,
		Capabilities: p.Capabilities,
	}
	for _, o := range p.Options {
		i.Options = append(i.Options, backend.Option{
			Name:     o.GetName(),
			Type:     backend.OptionType(o.GetType()),
			Required: o.GetRequired(),
			Default:  o.GetDefault(),
			Help:     o.GetHelp(),
			Secret:   o.GetSecret(),
		})
	}
	return i
}

// configToProto fails with KindInvalidArgument on a value that no option can have.
func configToProto(c backend.Config) (*pluginv1.ConfigureRequest, error) {
	p := &pluginv1.ConfigureRequest{
		BaseDir:  c.BaseDir,
		ReadOnly: c.ReadOnly,
		Options:  make(map[string]*pluginv1.OptionValue, len(c.Options)),
	}
	for name, value := range c.Options {
		v := new(pluginv1.OptionValue)
		switch value := value.(type) {
		case string:
			if !utf8.ValidString(value) {
				return nil, backend.Errorf(backend.KindInvalidArgument, "option %s is not UTF-8", name)
			}
			v.Value = &pluginv1.OptionValue_StringValue{StringValue: value}
		case bool:
			v.Value = &pluginv1.OptionValue_BoolValue{BoolValue: value}
		case int64:
			v.Value = &pluginv1.OptionValue_IntValue{IntValue: value}
		case []string:
			v.Value = &pluginv1.OptionValue_StringsValue{StringsValue: &pluginv1.StringList{Values: value}}
		default:
			return nil, backend.Errorf(backend.KindInvalidArgument, "option %s has a value of type %T", name, value)
		}
		p.Options[name] = v
	}
	for _, n := range c.Namespaces {
		p.Namespaces = append(p.Namespaces, namespaceToProto(n))
	}
	return p, nil
}

func namespaceToProto(n backend.Namespace) *pluginv1.Namespace {
	p := &pluginv1.Namespace{
		Name:          n.Name,
		Prefix:        n.Prefix,
		Separator:     uint32(n.Separator),
		Inbox:         n.Inbox,
		List:          n.List,
		Subscriptions: n.Subscriptions,
		Location:      n.Location,
		Public:        n.Public,
	}
	for _, m := range n.Mailboxes {
		p.Mailboxes = append(p.Mailboxes, &pluginv1.NamespaceMailbox{Name: m.Name, SpecialUse: m.SpecialUse, Auto: m.Auto})
	}
	return p
}

func configFromProto(p *pluginv1.ConfigureRequest) (backend.Config, error) {
	c := backend.Config{BaseDir: p.BaseDir, ReadOnly: p.ReadOnly, Options: make(map[string]any, len(p.Options))}
	for name, value := range p.Options {
		switch v := value.GetValue().(type) {
		case *pluginv1.OptionValue_StringValue:
			c.Options[name] = v.StringValue
		case *pluginv1.OptionValue_BoolValue:
			c.Options[name] = v.BoolValue
		case *pluginv1.OptionValue_IntValue:
			c.Options[name] = v.IntValue
		case *pluginv1.OptionValue_StringsValue:
			c.Options[name] = v.StringsValue.GetValues()
		default:
			return c, backend.Errorf(backend.KindInvalidArgument, "option %s has no value", name)
		}
	}
	for _, n := range p.Namespaces {
		ns, err := namespaceFromProto(n)
		if err != nil {
			return c, err
		}
		c.Namespaces = append(c.Namespaces, ns)
	}
	return c, nil
}

func namespaceFromProto(p *pluginv1.Namespace) (backend.Namespace, error) {
	if p.GetSeparator() > 0x7f {
		return backend.Namespace{}, backend.Errorf(backend.KindInvalidArgument, "namespace %q: separator %d is not an ASCII character", p.GetName(), p.GetSeparator())
	}
	n := backend.Namespace{
		Name:          p.GetName(),
		Prefix:        p.GetPrefix(),
		Separator:     byte(p.GetSeparator()),
		Inbox:         p.GetInbox(),
		List:          p.GetList(),
		Subscriptions: p.GetSubscriptions(),
		Location:      p.GetLocation(),
		Public:        p.GetPublic(),
	}
	for _, m := range p.GetMailboxes() {
		n.Mailboxes = append(n.Mailboxes, backend.NamespaceMailbox{Name: m.GetName(), SpecialUse: m.GetSpecialUse(), Auto: m.GetAuto()})
	}
	return n, nil
}

// checkUTF8 refuses a request that could not be sent.
func checkUTF8(what, s string) error {
	if utf8.ValidString(s) {
		return nil
	}
	return &backend.Error{Kind: backend.KindInvalidArgument, Message: what + " is not UTF-8", Detail: fmt.Sprintf("%q", s)}
}
