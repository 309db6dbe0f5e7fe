package server

import (
	"io"
	"log/slog"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/core/config"
)

// NewLogger returns the logger that [log] asks for, and its level, which may be changed while it is in use.
func NewLogger(c config.Log, w io.Writer) (*slog.Logger, *slog.LevelVar) {
	level := new(slog.LevelVar)
	level.Set(c.Level)
	o := &slog.HandlerOptions{Level: level}
	if c.Format == "json" {
		return slog.New(backend.LogOrigin(slog.NewJSONHandler(w, o))), level
	}
	return slog.New(backend.LogOrigin(slog.NewTextHandler(w, o))), level
}
