package mailbox

import (
	"slices"

	"github.com/roostmail/roost/core/backend"
)

// moreWatches are the watches that mailboxes have beside the one of their entry: few formats need more than one, such as Maildir, in whose
// directories any program may put mail. Registry.mu guards it. The zero value is ready.
type moreWatches struct {
	of map[uint32][]backend.Watch // by entry
	by map[int32][]uint32         // entries by watch
}

func (w *moreWatches) add(id uint32, ws []backend.Watch) {
	if len(ws) == 0 {
		return
	}
	if w.of == nil {
		w.of, w.by = make(map[uint32][]backend.Watch), make(map[int32][]uint32)
	}
	w.of[id] = ws
	for _, x := range ws {
		w.by[x.ID] = append(w.by[x.ID], id)
	}
}

// meant returns the entries that an event for a name in the directory of a watch, or its end, means.
func (w *moreWatches) meant(wd int32, name string, gone bool) (list []uint32) {
	for _, id := range w.by[wd] {
		for _, x := range w.of[id] {
			if x.ID == wd && (gone || means(name, x.Name)) {
				list = append(list, id)
				break
			}
		}
	}
	return list
}

// drop forgets the watches of an entry, and returns them.
func (w *moreWatches) drop(id uint32) []int32 {
	ws := w.of[id]
	if ws == nil {
		return nil
	}
	for _, x := range ws {
		w.unlist(x.ID, id)
	}
	delete(w.of, id)
	return ids(ws)
}

// forget is for a watch of an entry that does not exist any more.
func (w *moreWatches) forget(id uint32, wd int32) {
	w.of[id] = slices.DeleteFunc(slices.Clone(w.of[id]), func(x backend.Watch) bool { return x.ID == wd })
	w.unlist(wd, id)
}

func (w *moreWatches) unlist(wd int32, id uint32) {
	if left := without(w.by[wd], id); len(left) > 0 {
		w.by[wd] = left
	} else {
		delete(w.by, wd)
	}
}

func (w *moreWatches) clear() {
	clear(w.of)
	clear(w.by)
}
