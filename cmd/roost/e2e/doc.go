// Package e2e tests the built roost binary from outside, beside a real Dovecot
// and with real mail clients. It has tests only.
package e2e
