package mdbox

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/roostmail/roost/mdbox/index"
	"github.com/roostmail/roost/mdbox/mapindex"
)

// mapUIDValidity returns the UIDVALIDITY of the map, which is made if the store has none.
func (s *Store) mapUIDValidity(ctx context.Context) (uint32, error) {
	o := index.Options{FS: s.options.FS, Dir: s.location.mapDir(), Prefix: mapindex.Prefix, MaxStateBytes: s.options.MaxStateBytes}
	x, err := index.Open(o)
	if err == nil && x.State().UIDValidity() != 0 {
		return x.State().UIDValidity(), nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return 0, fmt.Errorf("mdbox: open map: %w", err)
	}
	m, err := s.lockMap(ctx)
	if err != nil {
		return 0, err
	}
	defer m.unlock()
	return m.Map().UIDValidity(), nil
}
