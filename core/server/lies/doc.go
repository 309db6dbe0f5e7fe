// Package lies has a test only: a server whose storage plugin breaks its promises, seen by a mail client.
//
// The plugin is a whole one behind a proxy that changes single answers, byte by byte if need be, over gRPC and over lanes. Each lie must be answered NO, or
// end that session, must be in the log with the plugin's name, and must change nothing for another user.
package lies
