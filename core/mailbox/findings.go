package mailbox

import "slices"

// maxFindings is how many findings a mailbox has; a further one takes the place of the oldest.
const maxFindings = 4

// Finding is something that took long to find out about some messages, and holds as long as there are these messages, whatever their flags are:
// an order, or threads. It must not be changed.
type Finding struct {
	About string   // what was asked, the caller's
	UIDs  []uint32 // of the messages, ascending
	Ranks []uint32 // of UIDs[i] in the order, each number below len(UIDs) once; nil: it is no order
	Text  []byte
}

func (f *Finding) bytes() int64 { return int64(4*len(f.UIDs) + 4*len(f.Ranks) + len(f.Text)) }

// seeker is somebody who finds out about something.
type seeker struct {
	about string
	done  chan struct{} // closed when they have ended
}

// Seek makes the caller the one who finds out about something, until it calls Sought with the same words, if busy is nil. Otherwise somebody else is at it:
// busy is closed when they have ended, and have perhaps kept what they found.
func (m *Mailbox) Seek(about string) (busy <-chan struct{}) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, s := range m.seekers {
		if s.about == about {
			return s.done
		}
	}
	m.seekers = append(m.seekers, seeker{about, make(chan struct{})})
	return nil
}

// Sought ends what a Seek has begun.
func (m *Mailbox) Sought(about string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.seekers = slices.DeleteFunc(m.seekers, func(s seeker) bool {
		if s.about == about {
			close(s.done)
		}
		return s.about == about
	})
}

// Keep keeps a finding, in place of an older one about the same. It counts as part of the mailbox's views, and goes with them.
func (m *Mailbox) Keep(f *Finding) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.findings = slices.DeleteFunc(m.findings, func(old *Finding) bool { return old.About == f.About })
	if len(m.findings) == maxFindings {
		m.findings = m.findings[1:]
	}
	m.findings = append(m.findings, f)
}

// Finding returns what was kept, or nil.
func (m *Mailbox) Finding(about string) *Finding {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, f := range m.findings {
		if f.About == about {
			return f
		}
	}
	return nil
}
