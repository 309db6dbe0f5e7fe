// Package plugins holds example plugins: programs that are no part of roost, as their authors would write them.
//
// "roost plugin new" starts a new plugin as a copy of one of them.
package plugins

import "embed"

// Examples holds the sources of the examples, one directory each.
//
//go:embed auth-http/*.go auth-python/*.py auth-python/Makefile hibernation-idle/*.go hibernation-python/*.py hibernation-python/Makefile notify-python/*.py notify-python/Makefile state-map/*.go state-python/*.py state-python/Makefile storage-mbox/*.go storage-python/*.py storage-python/Makefile
var Examples embed.FS
