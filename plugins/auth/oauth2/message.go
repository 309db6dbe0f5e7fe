package oauth2

import (
	"strings"

	"github.com/roostmail/roost/core/backend"
)

// bearer is a client's response.
type bearer struct {
	user  string // that the client names; "" = it leaves that to the token
	token string
}

// maxResponse bounds a response, in bytes.
const maxResponse = 16 << 10

// parseResponse reads the response of a client. The error is KindInvalidArgument.
func parseResponse(mechanism, response string) (bearer, error) {
	if len(response) > maxResponse {
		return bearer{}, malformed("response too long")
	}
	var b bearer
	parts := strings.Split(response, "\x01")
	if len(parts) < 3 || parts[len(parts)-1] != "" || parts[len(parts)-2] != "" {
		return bearer{}, malformed("response does not end in two 0x01")
	}
	pairs := parts[:len(parts)-2]
	if mechanism == "OAUTHBEARER" {
		user, err := parseGS2(pairs[0])
		if err != nil {
			return bearer{}, err
		}
		b.user, pairs = user, pairs[1:]
	}
	for _, p := range pairs {
		key, value, ok := strings.Cut(p, "=")
		switch {
		case !ok:
			return bearer{}, malformed("a part without '='")
		case key == "user" && mechanism == "XOAUTH2":
			b.user = value
		case key == "auth": // RFC 6750 §2.1; the scheme in any case (RFC 9110 §11.1)
			scheme, token, _ := strings.Cut(value, " ")
			if !strings.EqualFold(scheme, "Bearer") || b.token != "" {
				return bearer{}, malformed("not one Bearer token")
			}
			b.token = strings.TrimLeft(token, " ")
		}
	}
	return b, nil
}

// parseGS2 returns the authorization identity of a gs2-header (RFC 5801 §4), "n,a=USER,".
func parseGS2(header string) (user string, err error) {
	parts := strings.Split(header, ",")
	if len(parts) != 3 || parts[2] != "" || parts[0] != "n" && parts[0] != "y" {
		return "", malformed("gs2-header")
	}
	if parts[1] == "" {
		return "", nil
	}
	name, ok := strings.CutPrefix(parts[1], "a=")
	if !ok || name == "" {
		return "", malformed("authorization identity")
	}
	var b strings.Builder
	for i := 0; i < len(name); i++ {
		if name[i] != '=' {
			b.WriteByte(name[i])
			continue
		}
		switch { // RFC 5801 §4: saslname
		case strings.HasPrefix(name[i:], "=2C"):
			b.WriteByte(',')
		case strings.HasPrefix(name[i:], "=3D"):
			b.WriteByte('=')
		default:
			return "", malformed("authorization identity")
		}
		i += 2
	}
	return b.String(), nil
}

func malformed(detail string) error {
	return &backend.Error{Kind: backend.KindInvalidArgument, Message: "Invalid SASL response", Detail: detail}
}
