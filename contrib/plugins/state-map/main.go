// Command state-map is a roost state plugin that keeps keys and values in a map.
package main

import "github.com/roostmail/roost/plugins/sdk"

func main() { sdk.Serve(&plugin{}) }
