package host

import (
	"testing"

	"github.com/roostmail/roost/core/backend"
)

// Calls go over lanes where the plugin has them, also after its death; and over gRPC where it does not.
func TestLanes(t *testing.T) {
	for _, c := range []struct {
		name string
		env  string
		want int
	}{{"with", "TEST_NO_LANES=", 1}, {"without", "TEST_NO_LANES=1", 0}} {
		t.Run(c.name, func(t *testing.T) {
			h, _ := newHost(t)
			conf := testConfig(t)
			conf.Env = append(conf.Env, c.env)
			p := mustStart(t, h, conf)
			for round := range 2 {
				for range 3 {
					if _, err := p.Storage().Status(t.Context(), anyMailbox.User, "", []string{"INBOX"}, backend.StatusMessages); err != nil {
						t.Fatalf("round %d: %v", round, err)
					}
				}
				p.mu.Lock()
				n := p.current.proc.lanes.Len()
				p.mu.Unlock()
				if n != c.want {
					t.Errorf("round %d: %d lanes, want %d", round, n, c.want)
				}
				if round == 0 {
					kill(t, p)
				}
			}
		})
	}
}
