package sql

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"unicode/utf8"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/plugins/sdk/authdb"
)

// Version of the plugin, semver.
const Version = "0.1.0"

// Plugin is the auth plugin. Its zero value is not usable: see New.
type Plugin struct {
	*authdb.DB // after Configure
	log        *slog.Logger
	opts       options
	pool       *sql.DB
}

var (
	_ backend.Auth       = (*Plugin)(nil)
	_ backend.UserLookup = (*Plugin)(nil)
	_ backend.SASL       = (*Plugin)(nil)
)

// New returns a plugin that has to be configured before use.
func New(log *slog.Logger) *Plugin { return &Plugin{log: log} }

// Info describes the plugin.
func (p *Plugin) Info() backend.Info {
	return backend.Info{
		Kind:         backend.KindAuth,
		Name:         "sql",
		Version:      Version,
		Description:  "users from PostgreSQL, MySQL, MariaDB or SQLite, by Dovecot's queries",
		Capabilities: authdb.Capabilities(),
		Options:      optionList,
	}
}

// Configure does not connect: a database that is down makes the plugin unhealthy, and logins unavailable, until it is back.
func (p *Plugin) Configure(_ context.Context, c backend.Config) error {
	opts, common, err := parseOptions(c)
	if err != nil {
		return err
	}
	pool, err := sql.Open(opts.driver.name, opts.source)
	if err != nil {
		return backend.OptionErrorf("connect", "%v", err)
	}
	pool.SetMaxOpenConns(opts.connections)
	pool.SetMaxIdleConns(opts.connections)
	p.opts, p.pool = opts, pool
	p.DB = authdb.New(p.log, common, p, nil)
	if opts.master.text != "" {
		p.DB.SetMasters(masters{p})
	}
	return nil
}

// Health asks the database whether it is there.
func (p *Plugin) Health(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, p.opts.timeout)
	defer cancel()
	if err := p.pool.PingContext(ctx); err != nil {
		return unavailable(err)
	}
	return nil
}

// Close ends the connections.
func (p *Plugin) Close() error {
	if p.pool == nil {
		return nil
	}
	return p.pool.Close()
}

// Find implements authdb.Source.
func (p *Plugin) Find(ctx context.Context, _ string, v authdb.Vars) (authdb.Entry, error) {
	e, err := p.passwordRow(ctx, "password_query", p.opts.password, v)
	if err != nil || !e.Found || p.opts.user.text == "" {
		return e, err
	}
	e.UserOf = p.userRow
	return e, nil
}

// userRow returns what user_query finds of a user.
func (p *Plugin) userRow(ctx context.Context, _ string, v authdb.Vars) (map[string]string, error) {
	row, err := p.ask(ctx, "user_query", p.opts.user, v)
	if err != nil {
		return nil, err
	}
	if row == nil {
		return nil, errors.New("user_query finds no row for a user of password_query")
	}
	fields := map[string]string{}
	for _, f := range row {
		fields[f.Key] = f.Value
	}
	return fields, nil
}

// passwordRow returns what a query finds that has the password among its columns.
func (p *Plugin) passwordRow(ctx context.Context, name string, q query, v authdb.Vars) (authdb.Entry, error) {
	if !utf8.ValidString(v.User) || strings.ContainsRune(v.User, 0) { // databases take it for an error, and not for a name that nobody has
		return authdb.Entry{}, nil
	}
	row, err := p.ask(ctx, name, q, v)
	if err != nil || row == nil {
		return authdb.Entry{}, err
	}
	e := authdb.Entry{Found: true, Where: name}
	for _, f := range row {
		if f.Key == "password" {
			e.Password = f.Value
		} else {
			e.Fields = append(e.Fields, f)
		}
	}
	return e, nil
}

// masters is the source of master users.
type masters struct{ *Plugin }

// Find implements authdb.Source.
func (m masters) Find(ctx context.Context, _ string, v authdb.Vars) (authdb.Entry, error) {
	return m.passwordRow(ctx, "master_query", m.opts.master, v)
}

// ask returns the columns of the only row of a query, but for those that are NULL; nil = there is none.
func (p *Plugin) ask(ctx context.Context, name string, q query, v authdb.Vars) ([]authdb.Field, error) {
	args, err := q.expand(v)
	if err != nil {
		return nil, &backend.Error{Kind: backend.KindInternal, Detail: err.Error(), Cause: err}
	}
	ctx, cancel := context.WithTimeout(ctx, p.opts.timeout)
	defer cancel()
	rows, err := p.pool.QueryContext(ctx, q.text, args...)
	if err != nil {
		return nil, unavailable(fmt.Errorf("%s: %w", name, err))
	}
	defer rows.Close()
	fields, err := first(rows)
	if err == nil && rows.Next() {
		p.log.ErrorContext(ctx, "query finds more than one row: nobody is let in", "query", name, "user", v.User)
		err = errors.New("more than one row")
	}
	if err == nil {
		err = rows.Err()
	}
	if err != nil {
		return nil, unavailable(fmt.Errorf("%s: %w", name, err))
	}
	return fields, nil
}

// first reads the first row. The result is not nil if there is one.
func first(rows *sql.Rows) ([]authdb.Field, error) {
	columns, err := rows.Columns()
	if err != nil || !rows.Next() {
		return nil, err
	}
	values := make([]sql.NullString, len(columns))
	into := make([]any, len(columns))
	for i := range values {
		into[i] = &values[i]
	}
	if err := rows.Scan(into...); err != nil {
		return nil, err
	}
	fields := make([]authdb.Field, 0, len(columns))
	for i, v := range values {
		if v.Valid {
			fields = append(fields, authdb.Field{Key: columns[i], Value: v.String})
		}
	}
	return fields, nil
}

// unavailable is for a question that the database has not answered.
func unavailable(err error) error {
	return &backend.Error{Kind: backend.KindUnavailable, Message: "the user database can not be reached", Detail: err.Error(), Cause: err}
}
