package index

import "github.com/roostmail/roost/mdbox/translog"

// Intro returns the ext-intro for updates of the extension with a name: by ordinal and
// with its reset_id if it exists, else by name, which makes it. The extension never
// shrinks to these sizes; recSize is also the size of the data in the records behind
// the intro.
//
// Of an extension that exists, hdrSize may be 0 if its header data is not to grow.
func (l *Locked) Intro(name string, hdrSize uint32, recSize, align uint16) translog.ExtIntro {
	in := NewIntro(name, hdrSize, recSize, align)
	for i, e := range l.x.state.exts {
		if e.Name == name {
			in.ExtID, in.ResetID, in.Name = uint32(i), e.ResetID, ""
		}
	}
	return in
}

// NewIntro returns the ext-intro that makes an extension, by its name.
func NewIntro(name string, hdrSize uint32, recSize, align uint16) translog.ExtIntro {
	return translog.ExtIntro{ExtID: translog.ExtIDByName, HdrSize: hdrSize, RecordSize: recSize, RecordAlign: align, NoShrink: true, Name: name}
}
