package message

import (
	"flag"
	"fmt"
	"math/rand"
	"testing"

	"github.com/roostmail/roost/core/message/messagetest"
)

var (
	randomSeed  = flag.Int64("seed", 20240229, "seed of the first random message")
	randomCount = flag.Int("messages", 150, "number of random messages to compare with Dovecot")
)

// TestRandomMessagesAgainstDovecot names each message by its seed: go test -run Random -seed N -messages 1.
func TestRandomMessagesAgainstDovecot(t *testing.T) {
	d := startDovecot(t, "no")
	var names []string
	var msgs [][]byte
	for i := range *randomCount {
		seed := *randomSeed + int64(i)
		names = append(names, fmt.Sprintf("seed %d", seed))
		msgs = append(msgs, messagetest.Random(seed))
	}
	compare(t, d, names, msgs, rand.New(rand.NewSource(1)))
}
