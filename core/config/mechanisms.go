package config

import (
	"slices"
	"strings"
)

// readMechanisms reads [auth] mechanisms, by default those that every store of passwords serves. Whether the plugin has them shows when it starts.
func readMechanisms(auth *table, t TLS) []string {
	if !auth.has("mechanisms") {
		return []string{"PLAIN", "LOGIN"}
	}
	list := auth.texts("mechanisms")
	for i, m := range list {
		list[i] = strings.ToUpper(m)
		if !isMechanism(list[i]) {
			auth.fail("mechanisms", "%q is not the name of a mechanism", m)
		}
		if slices.Contains(list[:i], list[i]) {
			auth.fail("mechanisms", "%q is listed twice", m)
		}
		if list[i] == "EXTERNAL" && t.ClientCert == ClientCertNone {
			auth.fail("mechanisms", "EXTERNAL needs tls.client_cert")
		}
	}
	return list
}

// isMechanism reports whether m is 1 to 20 capitals, digits, "-" or "_" (RFC 4422 §3.1).
func isMechanism(m string) bool {
	return m != "" && len(m) <= 20 && strings.Trim(m, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") == ""
}
