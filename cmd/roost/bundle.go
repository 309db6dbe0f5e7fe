package main

import (
	"log/slog"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/core/server"
	format "github.com/roostmail/roost/mdbox"
	"github.com/roostmail/roost/plugins/auth/checkpassword"
	"github.com/roostmail/roost/plugins/auth/dovecot"
	"github.com/roostmail/roost/plugins/auth/ldap"
	"github.com/roostmail/roost/plugins/auth/oauth2"
	"github.com/roostmail/roost/plugins/auth/passwdfile"
	"github.com/roostmail/roost/plugins/auth/sql"
	"github.com/roostmail/roost/plugins/auth/static"
	"github.com/roostmail/roost/plugins/hibernation/adaptive"
	"github.com/roostmail/roost/plugins/state/memory"
	"github.com/roostmail/roost/plugins/storage/mdbox"
)

// bundle holds the plugins that are part of the binary.
var bundle = server.Bundle{
	func(log *slog.Logger) backend.Plugin { return passwdfile.New(log) },
	func(*slog.Logger) backend.Plugin { return &dovecot.Plugin{} },
	func(log *slog.Logger) backend.Plugin { return sql.New(log) },
	func(log *slog.Logger) backend.Plugin { return ldap.New(log) },
	func(log *slog.Logger) backend.Plugin { return oauth2.New(log) },
	func(log *slog.Logger) backend.Plugin { return checkpassword.New(log) },
	func(log *slog.Logger) backend.Plugin { return static.New(log) },
	func(*slog.Logger) backend.Plugin { return adaptive.New() },
	func(*slog.Logger) backend.Plugin { return memory.New() },
	func(log *slog.Logger) backend.Plugin { return mdbox.New(log) },
	func(log *slog.Logger) backend.Plugin { return mdbox.NewFormat(format.FormatSdbox, log) },
	func(log *slog.Logger) backend.Plugin { return mdbox.NewFormat(format.FormatMaildir, log) },
}
