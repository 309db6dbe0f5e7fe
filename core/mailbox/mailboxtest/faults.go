package mailboxtest

// failure is what a method fails with.
type failure struct {
	err   error
	after bool // it has done its work before
}

// FailCall makes every call of one method fail, until it is called with nil. The call does nothing.
func (s *Store) FailCall(method string, err error) {
	s.setFailure(method, failure{err: err})
}

// FailAnswer makes every call of one method of Writer do its work and fail nevertheless, until it is called with nil:
// the answer of a plugin that was killed.
func (s *Store) FailAnswer(method string, err error) {
	s.setFailure(method, failure{err: err, after: true})
}

func (s *Store) setFailure(method string, f failure) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failing == nil {
		s.failing = map[string]failure{}
	}
	s.failing[method] = f
}

// Before sets what is called, without locks held, at the beginning of each call of Writer: somebody
// else may be faster. nil: nothing.
func (s *Store) Before(f func(method string)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.before = f
}

// AfterStatus sets what is called, without locks held, when a call of Status has read its values, before they are returned. nil: nothing.
func (s *Store) AfterStatus(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.afterStatus = f
}

// AllowWrites makes that Info announces backend.CapWrite. It is called before anybody asks.
func (s *Store) AllowWrites() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writable = true
}

// WithoutChanged makes that Writer's answers tell nothing of what else has happened, and that Append claims nothing.
func (s *Store) WithoutChanged(on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.noChanged = on
}
