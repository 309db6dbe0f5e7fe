package backend_test

import (
	"errors"
	"testing"

	"github.com/roostmail/roost/core/backend"
)

func TestAnErrorSaysNothingTwice(t *testing.T) {
	cause := errors.New("open /mail/jane: permission denied")
	for _, c := range []struct {
		e    backend.Error
		want string
	}{
		{backend.Error{Message: "No access", Detail: cause.Error(), Cause: cause}, "No access: open /mail/jane: permission denied"},
		{backend.Error{Message: "No access", Detail: cause.Error() + "; run as root", Cause: cause}, "No access: open /mail/jane: permission denied; run as root"},
		{backend.Error{Message: "No access", Detail: "INBOX", Cause: cause}, "No access: INBOX: open /mail/jane: permission denied"},
		{backend.Error{Message: "No access", Cause: cause}, "No access: open /mail/jane: permission denied"},
		{backend.Error{Kind: backend.KindNotFound}, "not found"},
	} {
		if got := c.e.Error(); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}
