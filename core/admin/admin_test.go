package admin_test

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/roostmail/roost/core/admin"
)

func TestPages(t *testing.T) {
	registry := prometheus.NewRegistry()
	registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "roost_sessions", Help: "Sessions."}, func() float64 { return 7 }))
	var down atomic.Bool
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := admin.Start(ln, admin.Options{
		Metrics: registry,
		Components: func() []admin.Component {
			return []admin.Component{{Name: "plugin a", OK: true, Detail: "pid 1"}, {Name: "plugin b", OK: !down.Load(), Detail: "exited"}}
		},
		Status: func() []admin.Section {
			return []admin.Section{{Title: "Sessions", Rows: []admin.Row{{"connected", "7"}}}}
		},
		Log: slog.New(slog.DiscardHandler),
	})
	get := func(path string) (int, string) {
		t.Helper()
		r, err := http.Get("http://" + s.Addr().String() + path)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		b, err := io.ReadAll(r.Body)
		if err != nil {
			t.Fatal(err)
		}
		return r.StatusCode, string(b)
	}
	for _, tt := range []struct {
		path string
		down bool
		code int
		want []string
	}{
		{"/metrics", false, 200, []string{"\nroost_sessions 7\n"}},
		{"/healthz", false, 200, []string{"ok\n"}},
		{"/healthz", true, 503, []string{"plugin b: down: exited\n"}},
		{"/", false, 200, []string{"Sessions\n  connected", "7\n", "plugin b", "up"}},
		{"/", true, 200, []string{"DOWN"}},
		{"/nothing", false, 404, nil},
	} {
		down.Store(tt.down)
		code, body := get(tt.path)
		if code != tt.code {
			t.Errorf("%s: code %d, want %d", tt.path, code, tt.code)
		}
		for _, want := range tt.want {
			if !strings.Contains(body, want) {
				t.Errorf("%s: no %q in %q", tt.path, want, body)
			}
		}
	}
	if r, err := http.Post("http://"+s.Addr().String()+"/healthz", "text/plain", nil); err != nil || r.StatusCode != 405 {
		t.Errorf("POST: %v, %v", r, err)
	}
	if err := s.Close(context.Background()); err != nil {
		t.Error(err)
	}
	if _, err := net.Dial("tcp", ln.Addr().String()); err == nil {
		t.Error("the listener is still open after Close")
	}
}

// TestStatusPageForBrowsers: HTML, in which nothing of what it shows is markup.
func TestStatusPageForBrowsers(t *testing.T) {
	h := admin.Handler(admin.Options{
		Metrics: prometheus.NewRegistry(),
		Components: func() []admin.Component {
			return []admin.Component{{Name: "plugin a", State: "failed", Detail: "<b>exit</b>"}}
		},
		Status: func() []admin.Section {
			return []admin.Section{{Title: "roost 1.2", Rows: []admin.Row{{"sessions", "7"}}}, {Title: "Figures"}}
		},
	})
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("Accept", "text/html,*/*;q=0.8")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	for _, want := range []string{"<h1>roost 1.2</h1>", "<td>sessions<td>7", `<td class="bad">failed<td>&lt;b&gt;exit&lt;/b&gt;`, "<h2>Figures</h2>"} {
		if !strings.Contains(w.Body.String(), want) {
			t.Errorf("no %q in %s", want, w.Body)
		}
	}
	if got := w.Header().Get("Content-Type"); got != "text/html; charset=utf-8" {
		t.Errorf("Content-Type %q", got)
	}
}
