// Package oauth2 is the auth plugin "oauth2": users who come with an access token of an OAuth 2.0 or OpenID Connect server, by the
// mechanisms OAUTHBEARER (RFC 7628) and XOAUTH2.
//
// A token is checked in one of two ways. With keys (keys_file or keys_url) it is a JSON Web Token (RFC 7519), whose signature,
// lifetime, issuer and audience are checked here. With introspection_url the server that has issued it is asked (RFC 7662).
//
// The user is a claim of the token, and must be the user that the client names. Tokens are never logged.
//
// The SASL exchange is one response of the client:
//
//	OAUTHBEARER  n,a=USER,^Ahost=…^Aport=…^Aauth=Bearer TOKEN^A^A    (^A = 0x01; RFC 7628 §3.1)
//	XOAUTH2      user=USER^Aauth=Bearer TOKEN^A^A
//
// A refusal is a challenge with a JSON text that says why (RFC 7628 §3.2.2), which the client answers with 0x01 before the exchange fails.
package oauth2
