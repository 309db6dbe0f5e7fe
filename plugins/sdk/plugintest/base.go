package plugintest

import (
	"slices"

	"github.com/roostmail/roost/core/backend"
)

// testBase holds the cases for every kind.
func testBase(t T, kind backend.Kind, c *connection) {
	t.Run("Info", func(t T) {
		i := c.plugin.Info()
		if i.Kind != kind || i.Name == "" || i.Version == "" || i.Description == "" {
			t.Errorf("kind %q, name %q, version %q, description %q: all must be set, and the kind be %q", i.Kind, i.Name, i.Version, i.Description, kind)
		}
		if second := c.plugin.Info(); second.Name != i.Name || second.Version != i.Version {
			t.Errorf("Info changes: %+v, then %+v", i, second)
		}
	})
	t.Run("Options", func(t T) {
		seen := map[string]bool{}
		for _, o := range c.plugin.Info().Options {
			if o.Name == "" || o.Help == "" || !slices.Contains(optionTypes, o.Type) || seen[o.Name] {
				t.Errorf("option %+v: name and help must be set, the type be known and the name be unique", o)
			}
			if o.Required && o.Default != "" {
				t.Errorf("option %s is required and has a default", o.Name)
			}
			seen[o.Name] = true
		}
	})
	t.Run("Health", func(t T) {
		if err := c.plugin.Health(t.Context()); err != nil {
			t.Errorf("Health: %v", err)
		}
	})
	t.Run("ConfigureTwice", func(t T) {
		another := backend.Config{BaseDir: "/plugintest/another"} // the same would be no change
		wantKind(t, "Configure", c.plugin.Configure(t.Context(), another), backend.KindInvalidArgument)
	})
}

// lacks tells that a case is left out because the plugin does not announce what it needs.
func lacks(t T, name, capability string) {
	t.Run(name, func(t T) { t.Skip("the plugin does not announce " + capability) })
}
