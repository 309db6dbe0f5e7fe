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
	users      file
	masters    file   // path "" = none
	apps       file   // the same
	userFormat string // what of the normalised name is looked up in the file
}

// optionList documents the options. Defaults are also applied from here, so that the two can not differ.
var optionList = slices.Concat([]backend.Option{
	{Name: "path", Type: backend.OptionString, Required: true, Help: "the file; may contain variables such as %d"},
	{Name: "master_path", Type: backend.OptionString, Help: "the file of master users, who may log in as anybody; as path"},
	authdb.MasterOption,
	{Name: "app_passwords_path", Type: backend.OptionString, Help: "the file of app passwords, user:label:password:expires:scopes; as path"},
	{Name: "username_format", Type: backend.OptionString, Default: `"%u"`, Help: "what of the normalised name is looked up in the file"},
}, authdb.OptionList)

func parseOptions(c backend.Config) (options, authdb.Options, error) {
	v := authdb.NewValues(c, optionList)
	o := options{users: fileOption(v, c, "path"), userFormat: v.Text("username_format")}
	common := v.Options()
	if v.Text("path") == "" {
		v.Fail("path", "is required")
	}
	if text, _ := c.Options["master_path"].(string); text != "" {
		o.masters = fileOption(v, c, "master_path")
	} else if common.MasterSeparator != "" {
		v.Fail("auth_master_user_separator", "needs master_path")
	}
	if text, _ := c.Options["app_passwords_path"].(string); text != "" {
		o.apps = fileOption(v, c, "app_passwords_path")
	}
	v.CheckVariables("username_format", o.userFormat)
	return o, common, v.Err()
}

// file is the path of a passwd-file.
type file struct {
	option   string
	path     string // absolute, with variables
	variable bool   // path has variables
}

func fileOption(v *authdb.Values, c backend.Config, name string) file {
	f := file{option: name, path: v.Text(name)}
	v.CheckVariables(name, f.path)
	f.variable = strings.Contains(strings.ReplaceAll(f.path, "%%", ""), "%")
	if !filepath.IsAbs(f.path) {
		f.path = filepath.Join(c.BaseDir, f.path)
	}
	return f
}
