package oauth2

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/MicahParks/keyfunc/v3"
)

// remote is the keys of a server. They are read again each hour, while the old ones go on, and for a token whose key is not among them. It is safe for
// concurrent use.
type remote struct {
	url    string
	client *http.Client
	log    *slog.Logger
	now    func() time.Time

	mu      sync.Mutex
	set     keyfunc.Keyfunc // nil = none yet
	version int             // of set, counted
	read    time.Time       // when set was asked for
	asked   time.Time       // when the server was, the last time
	err     error           // what came of that
	asking  chan struct{}   // closed when the server has answered; nil: it is not being asked
}

const (
	refreshInterval = time.Hour
	// askInterval is how often the server is asked at the most once there are keys: anybody can send tokens whose key nobody knows.
	askInterval = 10 * time.Second
)

func newRemote(log *slog.Logger, o *options) *remote {
	return &remote{url: o.keysURL, log: log, now: time.Now, client: &http.Client{
		Timeout: o.timeout,
		CheckRedirect: func(r *http.Request, via []*http.Request) error {
			if len(via) >= 5 || !safeURL(r.URL.String()) {
				return errors.New("redirected too often, or to a place that others can answer for")
			}
			return nil
		},
	}}
}

// keys returns the keys and their version. If a key was missing among those of version missing, it asks for newer ones; the version is
// the same then if those are not ten seconds old.
func (r *remote) keys(ctx context.Context, missing int) (set keyfunc.Keyfunc, version int, err error) {
	r.mu.Lock()
	now := r.now()
	wants := r.set == nil || missing == r.version
	stale := r.set != nil && now.Sub(r.read) >= refreshInterval
	if r.asking == nil && (r.set == nil || (wants || stale) && now.Sub(r.asked) >= askInterval) {
		r.asking, r.asked = make(chan struct{}), now
		go r.ask(r.asking, now) // ends by the client's timeout
	}
	if asking := r.asking; wants && asking != nil {
		r.mu.Unlock()
		select {
		case <-asking:
		case <-ctx.Done():
			return nil, 0, ctx.Err()
		}
		r.mu.Lock()
	}
	defer r.mu.Unlock()
	if wants && r.err != nil {
		return nil, 0, r.err
	}
	return r.set, r.version, nil
}

// ask reads the keys.
func (r *remote) ask(done chan struct{}, began time.Time) {
	set, err := r.fetch()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err = err; err == nil {
		r.set, r.read = set, began
		r.version++
	} else if r.set != nil {
		r.log.Warn("keys can not be read again, those that there are go on", "since", r.read, "error", err)
	}
	r.asking = nil
	close(done)
}

func (r *remote) fetch() (keyfunc.Keyfunc, error) {
	answer, err := r.client.Get(r.url)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answers %s", r.url, answer.Status)
	}
	text, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer))
	if err != nil {
		return nil, err
	}
	set, err := parseKeys(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", r.url, err)
	}
	return set, nil
}

// parseKeys reads a JSON Web Key Set. Keys of kinds that are not known are left out (RFC 7517 §5).
func parseKeys(text []byte) (keyfunc.Keyfunc, error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(text, &set); err != nil {
		return nil, err
	}
	if set.Keys == nil {
		return nil, errors.New("not a JSON Web Key Set")
	}
	good := []json.RawMessage{}
	for _, k := range set.Keys {
		one, err := json.Marshal(map[string]any{"keys": []json.RawMessage{k}})
		if err == nil {
			_, err = keyfunc.NewJWKSetJSON(one)
		}
		if err == nil {
			good = append(good, k)
		}
	}
	all, err := json.Marshal(map[string]any{"keys": good})
	if err != nil {
		return nil, err
	}
	return keyfunc.NewJWKSetJSON(all)
}
