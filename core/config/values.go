package config

import (
	"fmt"
	"strings"
)

// Values returns the effective configuration as Load found it, and Show would write it: the values by key, such as "imap.listen" and "namespace[0].prefix".
func (c *Config) Values() map[string]string { return c.values }

func (c *Config) show() map[string]string {
	var text strings.Builder
	_ = c.Show(&text) // a Builder takes everything
	values := map[string]string{}
	section, key, namespaces := "", "", 0
	for line := range strings.Lines(text.String()) {
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
