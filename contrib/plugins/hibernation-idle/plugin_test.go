package main

import (
	"testing"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/plugins/sdk/plugintest"
)

func TestMain(m *testing.M) {
	plugintest.Main(m, func() backend.Plugin { return &plugin{} })
}

func TestConformance(t *testing.T) {
	plugintest.Hibernation(t, plugintest.HibernationFixture{New: func() backend.Plugin { return &plugin{} }})
}
