// Command storage-mbox is a roost storage plugin that shows mbox files, read-only.
package main

import "github.com/roostmail/roost/plugins/sdk"

func main() { sdk.Serve(&plugin{}) }
