// Command hibernation-idle is a roost hibernation plugin that parks what has rested for a while.
package main

import "github.com/roostmail/roost/plugins/sdk"

func main() { sdk.Serve(&plugin{}) }
