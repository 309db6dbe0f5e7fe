package server

import (
	"slices"

	"github.com/roostmail/roost/core/config"
	"github.com/roostmail/roost/core/imap"
	"github.com/roostmail/roost/core/imapwire"
	"github.com/roostmail/roost/core/mailbox"
	"github.com/roostmail/roost/core/session"
)

// engineConfig returns the engine's part of the configuration.
func engineConfig(c *config.Config) session.Config {
	l := c.Limits
	return session.Config{
		Loops:             l.Loops,
		Workers:           l.Workers,
		UserWorkers:       l.UserWorkers,
		TimeSlice:         l.TimeSlice,
		MaxSessions:       l.MaxSessions,
		MaxAddress:        l.AddressSessions,
		MaxAddressUnauth:  l.UnauthenticatedAddressSessions,
		MaxUnauth:         l.UnauthenticatedSessions,
		MaxLineUnauth:     l.UnauthenticatedLine,
		MaxLine:           l.Line,
		MaxLiteralUnauth:  l.UnauthenticatedLiteral,
		MaxLiteral:        l.Literal,
		MaxCommand:        l.Command,
		MaxMessage:        int64(l.Message),
		SpoolDir:          l.SpoolDir,
		SpoolAbove:        l.SpoolAbove,
		SpoolMemory:       int64(l.SpoolMemory),
		MaxSpool:          int64(l.Spool),
		MaxSpoolFiles:     l.SpoolFiles,
		MaxOutput:         l.Output,
		MaxHandshakes:     l.Handshakes,
		MaxCompressed:     l.CompressedSessions,
		HandshakeTimeout:  l.HandshakeTimeout,
		SlowClientTimeout: l.SlowClientTimeout,
		HangupGrace:       l.HangupGrace,
		ChannelBinding:    slices.ContainsFunc(c.AuthMechanisms, imap.Binds),
		ClientName:        clientName(c),
		HoldTLS:           c.TLS.Sleep == config.TLSSleepHold,
	}
}

// imapConfig returns the protocol's part.
func (s *Server) imapConfig() imap.Config {
	c := s.opts.Config
	i := imap.DefaultConfig()
	i.Greeting = c.IMAP.Greeting
	i.Version = s.opts.Version
	i.AllowPlaintextAuth = c.IMAP.AllowPlaintextAuth
	i.MaxBad = c.Limits.BadCommands
	i.SavedResult = c.Limits.SavedResult
	i.CommandMessages, i.SaveMessages = c.Limits.CommandMessages, c.Limits.SaveMessages
	i.Contexts, i.ContextBytes = c.Limits.Contexts, c.Limits.ContextBytes
	i.SearchMailboxes = c.Limits.SearchMailboxes
	i.SortMemory = c.Limits.SortMemory
	i.NotifySet = c.Limits.NotifySet
	i.NotifyUserMailboxes = c.Limits.NotifyUserMailboxes
	i.NotifyMailboxes = c.Limits.NotifyMailboxes
	i.KeywordLength = c.Limits.KeywordLength
	i.MetadataValue = c.Limits.MetadataValue
	i.Mechanisms = c.AuthMechanisms
	i.AuthFailureDelay = c.AuthFailureDelay
	i.MaxFailureDelay = c.MaxFailureDelay
	i.UserSessions = c.Limits.UserSessions
	i.UserAddressSessions = c.Limits.UserAddressSessions
	i.LoginRate = c.Limits.LoginRate
	i.LoginTimeout = c.IMAP.LoginTimeout
	i.Autologout = c.IMAP.Autologout
	i.IdleKeepalive = c.IMAP.IdleNotifyInterval
	i.ProgressInterval = c.IMAP.ProgressInterval
	i.URLAuthHost, i.URLAuthPort, i.URLAuthSubmit = c.IMAP.URLAuthHost, c.IMAP.URLAuthPort, c.IMAP.URLAuthSubmitUsers
	i.AppendLimit = uint64(c.Limits.Message)
	i.Limits = imapwire.Limits{Depth: c.Limits.Nesting, Items: c.Limits.ListItems}
	i.Namespaces = c.Namespaces
	i.Mailboxes = mailbox.Config{
		Warm:         c.Hibernation.Warm,
		ViewCache:    int64(c.Limits.ViewCache),
		JournalBytes: c.Limits.MailboxJournal,
		PollInterval: c.Limits.MailboxPoll,
		Statuses:     c.Limits.StatusCache,
	}
	return i
}
