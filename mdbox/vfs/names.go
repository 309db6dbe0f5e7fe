package vfs

import (
	"errors"
	"io/fs"
)

// Names returns the names in a directory, in any order. Like Stat it does not take an identity unless the process itself may not look:
// it is for what goes no further than to the caller.
func Names(fsys FS, dir string) ([]string, error) {
	if x, ok := fsys.(*identity); ok {
		names, err := Names(x.fs, dir)
		if !errors.Is(err, fs.ErrPermission) {
			return names, err
		}
	} else if o, ok := fsys.(osFS); ok {
		return o.names(dir)
	}
	entries, err := fsys.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.Name()
	}
	return names, nil
}

// names makes no object of each entry, and does not sort them.
func (osFS) names(dir string) (names []string, err error) {
	err = eachDirent(dir, func(name []byte, _ byte) error {
		names = append(names, string(name))
		return nil
	})
	return names, err
}
