package passwdfile

import (
	"path/filepath"
	"slices"
	"strings"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/plugins/sdk/authdb"
)

// options is the plugin's configuration, beside what authdb.Options has.
type options struct {
	path       string // absolute, with variables
	variable   bool   // path has variables
	userFormat string // what of the normalised name is looked up in the file
}

// optionList documents the options. Defaults are also applied from here, so that the two can not differ.
var optionList = slices.Concat([]backend.Option{
	{Name: "path", Type: backend.OptionString, Required: true, Help: "the file; may contain variables such as %d"},
	{Name: "username_format", Type: backend.OptionString, Default: `"%u"`, Help: "what of the normalised name is looked up in the file"},
}, authdb.OptionList)

func parseOptions(c backend.Config) (options, authdb.Options, error) {
	v := authdb.NewValues(c, optionList)
	o := options{path: v.Text("path"), userFormat: v.Text("username_format")}
	common := v.Options()
	if o.path == "" {
		v.Fail("path", "is required")
	}
	v.CheckVariables("path", o.path)
	v.CheckVariables("username_format", o.userFormat)
	o.variable = strings.Contains(strings.ReplaceAll(o.path, "%%", ""), "%")
	if !filepath.IsAbs(o.path) {
		o.path = filepath.Join(c.BaseDir, o.path)
	}
	return o, common, v.Err()
}
