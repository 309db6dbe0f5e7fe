package check

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"

	"github.com/roostmail/roost/mdbox/dbox"
	"github.com/roostmail/roost/mdbox/mapindex"
	"github.com/roostmail/roost/mdbox/vfs"
)

// mailFile is an m.N file.
type mailFile struct {
	id   dbox.FileID
	path string
	size int64
}

// entry is a message that the map has in a file.
type entry struct {
	uid mapindex.UID
	mapindex.Entry
}

// mailFiles checks all m.N files against the map.
func (v *verifier) mailFiles() error {
	files, err := v.listFiles()
	if err != nil {
		return err
	}
	var done, total int64
	for _, f := range files {
		total += f.size
	}
	byFile := v.entries()
	for _, f := range files {
		if err := v.ctx.Err(); err != nil {
			return err
		}
		if err := v.mailFile(f, byFile[f.id]); err != nil {
			return err
		}
		delete(byFile, f.id)
		done += f.size
		v.report.Files++
		v.report.Bytes += f.size
		if v.o.Progress != nil {
			v.o.Progress(done, total)
		}
	}
	v.missingFiles(byFile)
	return nil
}

// listFiles returns the m.N files of both storages, ascending by number.
func (v *verifier) listFiles() (files []mailFile, err error) {
	seen := map[dbox.FileID]string{}
	for _, dir := range []string{v.paths.Storage, v.paths.AltStorage} {
		if dir == "" {
			continue
		}
		entries, err := v.o.FS.ReadDir(dir)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			path := dir + "/" + e.Name()
			if dbox.IsNote(e.Name()) {
				if st, err := v.o.FS.Stat(path); err == nil && st.Size > 0 { // an empty one is kept for the next save
					v.report.add(Finding{Kind: Leftover, File: path, Offset: -1, Rule: "the note of a save that goes on, or was interrupted"})
				}
			} else if strings.HasPrefix(e.Name(), ".temp.") {
				v.report.add(Finding{Kind: Leftover, File: path, Offset: -1, Rule: "a new mail file that has no number yet"})
			}
			id, ok := fileID(e.Name())
			if !ok {
				continue
			}
			if other := seen[id]; other != "" {
				v.report.damage(fmt.Errorf("a file with this number is also %s", other), path, "", 0)
				continue
			}
			seen[id] = path
			st, err := v.o.FS.Stat(path)
			if errors.Is(err, fs.ErrNotExist) {
				continue // purged meanwhile
			}
			if err != nil {
				return nil, err
			}
			files = append(files, mailFile{id, path, st.Size})
		}
	}
	slices.SortFunc(files, func(a, b mailFile) int { return int(int64(a.id) - int64(b.id)) })
	return files, nil
}

// fileID returns the N of m.N.
func fileID(name string) (dbox.FileID, bool) {
	digits, ok := strings.CutPrefix(name, "m.")
	n, err := strconv.ParseUint(digits, 10, 32)
	return dbox.FileID(n), ok && err == nil && n > 0 && strconv.FormatUint(n, 10) == digits
}

// entries returns the messages of the map by file, ascending by offset.
func (v *verifier) entries() map[dbox.FileID][]entry {
	byFile := map[dbox.FileID][]entry{}
	if v.m == nil {
		return byFile
	}
	v.m.All(func(uid mapindex.UID, e mapindex.Entry, err error) bool {
		if err == nil {
			byFile[dbox.FileID(e.FileID)] = append(byFile[dbox.FileID(e.FileID)], entry{uid, e})
		}
		return true
	})
	for _, list := range byFile {
		slices.SortFunc(list, func(a, b entry) int { return int(int64(a.Offset) - int64(b.Offset)) })
	}
	return byFile
}

// mailFile checks one file, of which the map has the messages want.
func (v *verifier) mailFile(f mailFile, want []entry) error {
	file, err := v.o.FS.Open(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // purged meanwhile; if not, its messages are found missing
	}
	if err != nil {
		return err
	}
	defer file.Close()
	i := 0
	err = dbox.Scan(file, maxMetadata, func(_ dbox.FileHeader, m *dbox.Scanned) error {
		v.report.Messages++
		for i < len(want) && uint64(want[i].Offset) < m.Offset {
			v.notThere(f, want[i])
			i++
		}
		if i == len(want) || uint64(want[i].Offset) != m.Offset {
			v.notInMap(f, int64(m.Offset), m)
			return v.ctx.Err()
		}
		if e := want[i]; e.Size != 0 && uint64(e.Size) != m.End-m.Offset {
			v.report.damage(vfs.Corrupt(int64(m.Offset), "the message has %d bytes, the map says %d", m.End-m.Offset, e.Size), f.path, "", 0)
		}
		i++
		return v.ctx.Err()
	})
	switch {
	case isDamage(err) && i == len(want):
		// Behind the last message that the map has: what a save has left that did not come to its end, or is still being written.
		v.tail(f, err)
	case isDamage(err):
		v.report.damage(err, f.path, "", 0)
	case err != nil:
		return err
	}
	for ; i < len(want); i++ {
		v.notThere(f, want[i])
	}
	return nil
}

// maxMetadata bounds the metadata of a message, as package dbox does.
const maxMetadata = 1 << 20

// current returns the map's entry as it is now, if it still is e.
func (v *verifier) current(e entry) bool {
	if _, err := v.m.Refresh(); err != nil {
		return true
	}
	now, found, err := v.m.Lookup(e.uid)
	return err == nil && found && now.Location == e.Location
}

// notThere reports a message that the map has and the file has not.
func (v *verifier) notThere(f mailFile, e entry) {
	if !v.current(e) {
		return
	}
	if e.Refcount == 0 {
		v.report.add(Finding{Kind: Leftover, File: f.path, Offset: int64(e.Offset), Rule: fmt.Sprintf("there is no message for map UID %d, to which nothing refers", e.uid)})
		return
	}
	v.report.damage(vfs.Corrupt(int64(e.Offset), "there is a message for map UID %d, with %d references", e.uid, e.Refcount), f.path, "", 0)
}

// notInMap reports a message that the map does not have.
func (v *verifier) notInMap(f mailFile, off int64, m *dbox.Scanned) {
	if v.m != nil {
		if _, err := v.m.Refresh(); err == nil && v.has(f.id, off) {
			return // it has it by now
		}
	}
	guid, _ := m.Metadata.Get(dbox.KeyGUID)
	mailbox, _ := m.Metadata.Get(dbox.KeyMailbox)
	v.report.add(Finding{Kind: Leftover, File: f.path, Offset: off, Rule: fmt.Sprintf("message %s, saved to %q, is not in the map", guid, mailbox)})
}

func (v *verifier) has(id dbox.FileID, off int64) (has bool) {
	v.m.All(func(_ mapindex.UID, e mapindex.Entry, err error) bool {
		has = err == nil && e.FileID == uint32(id) && int64(e.Offset) == off
		return !has
	})
	return has
}

func (v *verifier) tail(f mailFile, err error) {
	var c *vfs.CorruptError
	errors.As(err, &c)
	v.report.add(Finding{Kind: Leftover, File: f.path, Offset: c.Offset, Rule: "not a message: " + c.Rule})
}

// missingFiles reports files that the map refers to and that are not there.
func (v *verifier) missingFiles(byFile map[dbox.FileID][]entry) {
	for id, list := range byFile {
		for _, e := range list {
			path := v.paths.Storage + "/m." + strconv.FormatUint(uint64(id), 10)
			v.notThere(mailFile{id: id, path: path}, e)
		}
	}
}
