package mdboxtest

import "github.com/roostmail/roost/mdbox/vfs"

// Hooked tells of files that are about to be looked at or opened for reading, so that a test can change something at that moment.
type Hooked struct {
	vfs.FS
	Hook func(name string) error // an error is what the call returns
}

// Open implements vfs.FS.
func (f *Hooked) Open(name string) (vfs.File, error) {
	if err := f.Hook(name); err != nil {
		return nil, err
	}
	return f.FS.Open(name)
}

// Stat implements vfs.FS.
func (f *Hooked) Stat(name string) (vfs.Info, error) {
	if err := f.Hook(name); err != nil {
		return vfs.Info{}, err
	}
	return f.FS.Stat(name)
}
