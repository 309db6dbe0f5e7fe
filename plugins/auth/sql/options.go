package sql

import (
	"slices"
	"time"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/plugins/sdk/authdb"
)

// options is the plugin's configuration, beside what authdb.Options has.
type options struct {
	driver                       *driver
	source                       string // how the driver is told where the database is
	password, user, master, apps query  // the text of all but the first is "" if there is no such query
	timeout                      time.Duration
	connections                  int
}

// optionList documents the options. Defaults are also applied from here, so that the two can not differ.
var optionList = slices.Concat([]backend.Option{
	{Name: "driver", Type: backend.OptionString, Required: true, Help: "pgsql, mysql or sqlite"},
	{Name: "connect", Type: backend.OptionString, Required: true, Secret: true, Help: `where the database is: "host=… port=… dbname=… user=… password=…", or the file of SQLite`},
	{Name: "password_query", Type: backend.OptionString, Required: true, Help: "query for the column password and passdb extra fields, with variables such as '%u'"},
	{Name: "user_query", Type: backend.OptionString, Help: "query for userdb fields"},
	{Name: "master_query", Type: backend.OptionString, Help: "query for master users, who may log in as anybody; as password_query"},
	authdb.MasterOption,
	{Name: "app_password_query", Type: backend.OptionString, Help: "query for the app passwords of a user: a row for each with the columns password, label, scopes and expires"},
	{Name: "query_timeout", Type: backend.OptionDuration, Default: `"10s"`, Help: "how long a query may take"},
	{Name: "max_connections", Type: backend.OptionInt, Default: "10", Help: "connections to the database at once"},
}, authdb.OptionList)

func parseOptions(c backend.Config) (options, authdb.Options, error) {
	v := authdb.NewValues(c, optionList)
	common := v.Options()
	o := options{timeout: v.Duration("query_timeout"), connections: int(min(v.Number("max_connections", false), 10000))}
	o.driver = drivers[v.Text("driver")]
	if o.driver == nil {
		v.Fail("driver", "is none of pgsql, mysql, sqlite")
		return o, common, v.Err()
	}
	var err error
	if o.source, err = o.driver.source(v.Text("connect"), c.BaseDir, o.timeout); err != nil {
		v.Fail("connect", "%v", err)
	}
	if o.password, err = parseQuery(v.Text("password_query"), o.driver.placeholder); err != nil {
		v.Fail("password_query", "%v", err)
	} else if o.password.text == "" {
		v.Fail("password_query", "is required")
	}
	if text, _ := c.Options["user_query"].(string); text != "" {
		if o.user, err = parseQuery(text, o.driver.placeholder); err != nil {
			v.Fail("user_query", "%v", err)
		}
	}
	if text, _ := c.Options["app_password_query"].(string); text != "" {
		if o.apps, err = parseQuery(text, o.driver.placeholder); err != nil {
			v.Fail("app_password_query", "%v", err)
		}
	}
	if text, _ := c.Options["master_query"].(string); text != "" {
		if o.master, err = parseQuery(text, o.driver.placeholder); err != nil {
			v.Fail("master_query", "%v", err)
		}
	} else if common.MasterSeparator != "" {
		v.Fail("auth_master_user_separator", "needs master_query")
	}
	return o, common, v.Err()
}
