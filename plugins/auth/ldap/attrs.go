package ldap

import (
	"errors"
	"fmt"
	"strings"

	"github.com/go-ldap/ldap/v3"

	"github.com/roostmail/roost/plugins/sdk/authdb"
)

// attr is an element of pass_attrs or user_attrs:
//
//	uid=user             field user is attribute uid
//	homeDirectory=home
//	=home=/srv/%n        field home is a text with variables and attributes, %{ldap:uid}
//	=nologin             field nologin, empty
type attr struct {
	attribute string // "" = the text
	field     string
	text      string
}

// parseAttrs parses elements separated by commas.
func parseAttrs(list string) ([]attr, error) {
	var attrs []attr
	for _, word := range strings.Split(list, ",") {
		word = strings.TrimSpace(word)
		if word == "" {
			continue
		}
		name, rest, ok := strings.Cut(word, "=")
		switch {
		case !ok || rest == "":
			return nil, fmt.Errorf("%q is neither attribute=field nor =field=text", word)
		case name != "":
			attrs = append(attrs, attr{attribute: name, field: rest})
		default:
			field, text, _ := strings.Cut(rest, "=")
			if _, err := expandText(text, authdb.Vars{}, nil); err != nil {
				return nil, err
			}
			attrs = append(attrs, attr{field: field, text: text})
		}
	}
	return attrs, nil
}

// names returns the attributes that attrs need of an entry.
func names(attrs []attr) (list []string) {
	for _, a := range attrs {
		if a.attribute != "" {
			list = append(list, a.attribute)
		}
		rest := a.text
		for {
			_, after, ok := strings.Cut(rest, ldapPrefix)
			if !ok {
				break
			}
			name, tail, _ := strings.Cut(after, "}")
			list, rest = append(list, name), tail
		}
	}
	if list == nil {
		list = []string{"1.1"} // no attributes (RFC 4511 §4.5.1.8)
	}
	return list
}

// fields returns the fields that attrs make of an entry. An attribute that the entry does not have makes none; of one with several
// values, the first counts.
func fields(attrs []attr, e *ldap.Entry, v authdb.Vars) ([]authdb.Field, error) {
	var list []authdb.Field
	for _, a := range attrs {
		if a.attribute == "" {
			text, err := expandText(a.text, v, e)
			if err != nil {
				return nil, err
			}
			list = append(list, authdb.Field{Key: a.field, Value: text})
		} else if values := e.GetEqualFoldAttributeValues(a.attribute); len(values) > 0 {
			list = append(list, authdb.Field{Key: a.field, Value: values[0]})
		}
	}
	return list, nil
}

const ldapPrefix = "%{ldap:"

// expandText expands variables, and %{ldap:attribute}, of which the value is not expanded again. e may be nil: then attributes are empty.
func expandText(text string, v authdb.Vars, e *ldap.Entry) (string, error) {
	var out strings.Builder
	for {
		before, after, ok := strings.Cut(text, ldapPrefix)
		s, err := v.Expand(before)
		if err != nil {
			return "", err
		}
		out.WriteString(s)
		if !ok {
			return out.String(), nil
		}
		name, rest, ok := strings.Cut(after, "}")
		if !ok {
			return "", errors.New(ldapPrefix + " lacks its closing brace")
		}
		if e != nil {
			out.WriteString(e.GetEqualFoldAttributeValue(name))
		}
		text = rest
	}
}
