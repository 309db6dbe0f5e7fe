package config

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
)

// digestKey makes digests of secrets worthless outside of this process.
var digestKey = rand.Text()

// digest stands for a secret in Values: another one for another secret.
func digest(secret string) string {
	h := hmac.New(sha256.New, []byte(digestKey))
	h.Write([]byte(secret))
	return hex.EncodeToString(h.Sum(nil))
}

// Values returns the effective configuration as Load found it, and Show would write it: the values by key, such as "imap.listen" and "namespace[0].prefix".
// In the place of secrets are digests, which tell in this process alone whether two are the same.
func (c *Config) Values() map[string]string { return c.values }

func (c *Config) show() map[string]string {
	values := map[string]string{}
	section, key, namespaces := "", "", 0
	for line := range strings.Lines(c.print(digest).String()) {
		line = strings.TrimSuffix(line, "\n")
		name, value, isKey := strings.Cut(line, " = ")
		switch {
		case line == "[[namespace]]":
			section = fmt.Sprintf("namespace[%d]", namespaces)
			namespaces++
		case strings.HasPrefix(line, "["):
			section = strings.Trim(line, "[]")
		case isKey && !strings.HasPrefix(line, " "):
			key = section + "." + name
			values[key] = value
		case line != "": // of a value with several lines
			values[key] += line
		}
	}
	return values
}
