// Package proto holds the .proto files themselves, for authors whose language is not Go.
package proto

import "embed"

// Files holds the .proto files below roost/.
//
//go:embed roost/*/v1/*.proto
var Files embed.FS
