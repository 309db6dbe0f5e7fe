package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/roostmail/roost/cmd/internal/scaffold"
)

func pluginNewCommand() *cobra.Command {
	var o scaffold.Options
	c := &cobra.Command{
		Use:   "new --kind KIND [--lang LANG] [--dir DIR] [--checkout DIR] NAME",
		Short: "start the repository of a new plugin",
		Long: `Make the directory DIR (./NAME) with a plugin that builds and passes the conformance
kit, its tests, a Makefile and a README: an example, for you to make yours of it.

There are examples of kind auth, hibernation, state and storage in go and python, and of notify in python.`,
		Example: `  roost plugin new --kind auth my-auth && cd my-auth && make test
  roost plugin new --kind auth --lang python --dir plugins/my-auth my-auth`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.Name = args[0]
			if o.Dir == "" {
				o.Dir = "./" + o.Name
			}
			if err := scaffold.Write(o); err != nil {
				return err
			}
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s is a plugin that works; next:\n\n  cd %s && make test\n", o.Dir, o.Dir)
			return err
		},
	}
	f := c.Flags()
	f.StringVar(&o.Kind, "kind", "", "`KIND` of the plugin: auth, hibernation, notify, state or storage")
	f.StringVar(&o.Lang, "lang", "go", "`LANG` that it is written in: go or python")
	f.StringVar(&o.Dir, "dir", "", "the `DIR` to make")
	f.StringVar(&o.Checkout, "checkout", "", "build a Go plugin with the roost in `DIR`, by go.work, in the place of the released module")
	if err := c.MarkFlagRequired("kind"); err != nil {
		panic(err) // the flag was added above
	}
	return c
}
