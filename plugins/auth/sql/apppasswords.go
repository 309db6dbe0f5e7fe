package sql

import (
	"context"
	"fmt"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/plugins/sdk/authdb"
)

// AppPasswords implements authdb.AppPasswords, with app_password_query. Rows without password and those that do not parse are left out.
func (p *Plugin) AppPasswords(ctx context.Context, name string, v authdb.Vars) ([]authdb.AppPassword, error) {
	if p.opts.apps.text == "" {
		return nil, nil
	}
	args, err := p.opts.apps.expand(v)
	if err != nil {
		return nil, &backend.Error{Kind: backend.KindInternal, Detail: err.Error(), Cause: err}
	}
	ctx, cancel := context.WithTimeout(ctx, p.opts.timeout)
	defer cancel()
	rows, err := p.pool.QueryContext(ctx, p.opts.apps.text, args...)
	if err != nil {
		return nil, unavailable(fmt.Errorf("app_password_query: %w", err))
	}
	defer rows.Close()
	var list []authdb.AppPassword
	for len(list) <= authdb.MaxAppPasswords {
		row, err := first(rows)
		if err == nil && row == nil {
			err = rows.Err()
		}
		if err != nil {
			return nil, unavailable(fmt.Errorf("app_password_query: %w", err))
		}
		if row == nil {
			break
		}
		column := map[string]string{}
		for _, f := range row {
			column[f.Key] = f.Value
		}
		a, err := authdb.ParseAppPassword(column["label"], column["password"], column["scopes"], column["expires"])
		if err != nil {
			p.log.Error("app password is not used", "user", name, "label", column["label"], "error", err)
			continue
		}
		list = append(list, a)
	}
	return list, nil
}
