package oauth2

import (
	"net/url"
	"path/filepath"
	"slices"
	"time"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/plugins/sdk/authdb"
)

// options is the plugin's configuration, beside what authdb.Options has.
type options struct {
	keysFile, keysURL      string
	issuers, audiences     []string
	introspectionURL       string
	clientID, clientSecret string
	scopes                 []string
	claim                  string
	discovery              string // in refusals
	timeout                time.Duration
}

// optionList documents the options. Defaults are also applied from here, so that the two can not differ.
var optionList = slices.Concat([]backend.Option{
	{Name: "keys_file", Type: backend.OptionString, Default: `""`, Help: "JSON Web Key Set (RFC 7517) that tokens are checked with"},
	{Name: "keys_url", Type: backend.OptionString, Default: `""`, Help: "the same, by https, read again each hour and for keys that are not known"},
	{Name: "introspection_url", Type: backend.OptionString, Default: `""`, Help: "server to ask about tokens (RFC 7662), in place of keys"},
	{Name: "client_id", Type: backend.OptionString, Default: `""`, Help: "who asks"},
	{Name: "client_secret", Type: backend.OptionString, Default: `""`, Secret: true, Help: "its password"},
	{Name: "issuers", Type: backend.OptionStrings, Help: "whose tokens are good; required with keys"},
	{Name: "audiences", Type: backend.OptionStrings, Help: "for whom a token must be, one of these; required with keys"},
	{Name: "scopes", Type: backend.OptionStrings, Help: "that a token must have, all of these"},
	{Name: "username_claim", Type: backend.OptionString, Default: `"email"`, Help: "claim that is the user name"},
	{Name: "openid_configuration_url", Type: backend.OptionString, Default: `""`, Help: "where a refused client learns how to get a token"},
	{Name: "timeout", Type: backend.OptionDuration, Default: `"10s"`, Help: "how long a server may take to answer"},
}, authdb.OptionList)

func parseOptions(c backend.Config) (options, authdb.Options, error) {
	v := authdb.NewValues(c, optionList)
	common := v.Options()
	o := options{
		keysFile: v.Text("keys_file"), keysURL: v.Text("keys_url"), introspectionURL: v.Text("introspection_url"),
		clientID: v.Text("client_id"), clientSecret: v.Text("client_secret"), issuers: v.Strings("issuers"), audiences: v.Strings("audiences"),
		scopes: v.Strings("scopes"), claim: v.Text("username_claim"), discovery: v.Text("openid_configuration_url"), timeout: v.Duration("timeout"),
	}
	ways := 0
	for _, way := range []string{o.keysFile, o.keysURL, o.introspectionURL} {
		if way != "" {
			ways++
		}
	}
	if ways != 1 {
		v.Fail("keys_file", "exactly one of keys_file, keys_url and introspection_url is needed")
	}
	if o.introspectionURL == "" { // a key may sign for many servers and many services
		for name, list := range map[string][]string{"issuers": o.issuers, "audiences": o.audiences} {
			if len(list) == 0 {
				v.Fail(name, "is required with keys")
			}
		}
	}
	if o.claim == "" {
		v.Fail("username_claim", "is required")
	}
	for name, text := range map[string]string{"keys_url": o.keysURL, "introspection_url": o.introspectionURL} {
		if text != "" && !safeURL(text) {
			v.Fail(name, "is not an https:// URL, or http:// to this host")
		}
	}
	if o.keysFile != "" && !filepath.IsAbs(o.keysFile) {
		o.keysFile = filepath.Join(c.BaseDir, o.keysFile)
	}
	return o, common, v.Err()
}

// safeURL reports whether nobody else can answer for a URL, or read what is sent there.
func safeURL(text string) bool {
	u, err := url.Parse(text)
	return err == nil && u.Host != "" && (u.Scheme == "https" || u.Scheme == "http" && slices.Contains([]string{"127.0.0.1", "::1", "localhost"}, u.Hostname()))
}
