// Command auth-http is a roost auth plugin that asks a web service.
package main

import "github.com/roostmail/roost/plugins/sdk"

func main() { sdk.Serve(&plugin{}) }
