package main

import (
	"github.com/spf13/cobra"

	"github.com/roostmail/roost/mdbox/dump"
)

func mailCommand() *cobra.Command {
	return group("mail", "look at a mailstore and repair it", mailDumpCommand(), mailVerifyCommand(), mailRebuildCommand(), mailPurgeCommand())
}

func mailDumpCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "dump FILE",
		Short: "show a file of an mdbox store with offsets and field names",
		Long: `Show a file of an mdbox store: dovecot.index, dovecot.index.log, dovecot.map.index,
dovecot.index.cache, dovecot.list.index, m.N, dovecot-uidvalidity, subscriptions.

The kind is found by content and name. What is damaged is shown up to the damage,
which is then the error.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return dump.File(cmd.OutOrStdout(), args[0]) },
	}
}
