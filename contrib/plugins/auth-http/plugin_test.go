package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/plugins/sdk/plugintest"
)

func TestMain(m *testing.M) {
	plugintest.Main(m, func() backend.Plugin { return &plugin{} })
}

// service answers as the plugin expects it: jane may log in, locked may not.
func service(t *testing.T) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var q question
		switch err := json.NewDecoder(r.Body).Decode(&q); {
		case err != nil:
			w.WriteHeader(http.StatusBadRequest)
		case q.Password != "secret":
			w.WriteHeader(http.StatusUnauthorized)
		case q.User == "jane":
			_ = json.NewEncoder(w).Encode(answer{User: "jane", Fields: map[string]string{"home": "/srv/mail/jane"}})
		case q.User == "locked":
			w.WriteHeader(http.StatusForbidden)
		case q.User == "broken":
			w.WriteHeader(http.StatusInternalServerError)
		default:
			w.WriteHeader(http.StatusUnauthorized)
		}
	}))
	t.Cleanup(s.Close)
	return s.URL
}

func TestConformance(t *testing.T) {
	plugintest.Auth(t, plugintest.AuthFixture{
		New:    func() backend.Plugin { return &plugin{} },
		Config: backend.Config{Options: map[string]any{"url": service(t)}},
		Good:   []plugintest.Login{{User: "jane", Password: "secret"}},
		Denied: []plugintest.Login{{User: "locked", Password: "secret"}},
	})
}

// TestServiceIsDown: nobody is told that a password is wrong when it could not be checked.
func TestServiceIsDown(t *testing.T) {
	url := service(t)
	auth := plugintest.Connect(t, &plugin{}, backend.Config{Options: map[string]any{"url": url}}).(backend.Auth)
	if _, err := auth.VerifyPassword(t.Context(), backend.PasswordRequest{User: "broken", Password: "secret"}); backend.KindOf(err) != backend.KindUnavailable {
		t.Errorf("an error of the service: %v", err)
	}
	auth = plugintest.Connect(t, &plugin{}, backend.Config{Options: map[string]any{"url": "http://127.0.0.1:1/"}}).(backend.Auth)
	if _, err := auth.VerifyPassword(t.Context(), backend.PasswordRequest{User: "jane", Password: "secret"}); backend.KindOf(err) != backend.KindUnavailable {
		t.Errorf("no service: %v", err)
	}
}
