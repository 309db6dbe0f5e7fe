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

// Seeking is that somebody finds out about something.
type Seeking struct {
	about string
	done  chan struct{}
	err   error // not to be read before done is closed
}

// Done is closed when they have ended, and have perhaps kept what they found.
func (s *Seeking) Done() <-chan struct{} { return s.done }

// Err returns, after Done, why they failed. nil: they did not, or nobody else has to for that.
func (s *Seeking) Err() error { return s.err }

// Seek returns who is about to find out about something. first: it is the caller, and others get the same until the caller has called Sought.
func (m *Mailbox) Seek(about string) (s *Seeking, first bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, s := range m.seeking {
		if s.about == about {
			return s, false
		}
	}
	s = &Seeking{about: about, done: make(chan struct{})}
	m.seeking = append(m.seeking, s)
	return s, true
}

// Sought ends what a Seek has begun. err is for those who wait for it.
func (m *Mailbox) Sought(s *Seeking, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.seeking = slices.DeleteFunc(m.seeking, func(other *Seeking) bool { return other == s })
	s.err = err
	close(s.done)
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
