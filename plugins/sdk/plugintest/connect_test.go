package plugintest_test

import (
	"testing"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/plugins/sdk/plugintest"
)

// TestConnect: what the test calls goes over the wire, and is checked there.
func TestConnect(t *testing.T) {
	p := plugintest.Connect(t, &memoryAuth{}, backend.Config{})
	id, err := p.(backend.Auth).VerifyPassword(t.Context(), backend.PasswordRequest{User: "jane", Password: "correct horse"})
	if err != nil || id.User.Fields["home"] != "/srv/jane" {
		t.Errorf("%+v, %v", id, err)
	}
	if _, ok := p.(*memoryAuth); ok {
		t.Error("the plugin itself came back")
	}
	if _, err := p.(backend.UserLookup).LookupUser(t.Context(), "nobody"); backend.KindOf(err) != backend.KindNotFound {
		t.Errorf("LookupUser: %v", err)
	}
}
