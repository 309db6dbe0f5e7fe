package main

import (
	"github.com/spf13/cobra"

	"github.com/roostmail/roost/core/config"
	"github.com/roostmail/roost/core/server"
	"github.com/roostmail/roost/core/server/dev"
)

func devCommand() *cobra.Command {
	var dir, imap, imaps, admin string
	c := &cobra.Command{
		Use:   "dev [--dir DIR] [--imap ADDR] [--imaps ADDR] [--admin ADDR]",
		Short: "serve a sample store, with hints what to try",
		Long: `Serve a sample mdbox store that Dovecot wrote, to try roost without any setting up.

DIR is made if it is absent, with a configuration, a self-signed certificate, the
user demo with the password demo, and a store of a few mails. What is there
already is left alone, so DIR/roost.toml can be edited.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			file, err := dev.Prepare(dir)
			if err != nil {
				return err
			}
			c, err := config.Load(file, bundle.Catalog())
			if err != nil {
				return err
			}
			for flag, set := range map[string]func(){
				"imap":  func() { c.IMAP.Listen = []string{imap} },
				"imaps": func() { c.IMAP.IMAPSListen = []string{imaps} },
				"admin": func() { c.Admin.Listen = admin },
			} {
				if cmd.Flags().Changed(flag) {
					set()
				}
			}
			return run(cmd.Context(), c, nil, func(s *server.Server) error {
				imap, imaps, admin := s.Addrs()
				return dev.Hints(cmd.OutOrStdout(), dir, imap, imaps, admin)
			})
		},
	}
	f := c.Flags()
	f.StringVar(&dir, "dir", "./var/dev", "`DIR` of the sample")
	f.StringVar(&imap, "imap", "127.0.0.1:1143", "`ADDR` for IMAP with STARTTLS")
	f.StringVar(&imaps, "imaps", "127.0.0.1:1993", "`ADDR` for IMAP over TLS")
	f.StringVar(&admin, "admin", "127.0.0.1:1180", "`ADDR` for metrics and status page, empty: none")
	return c
}
