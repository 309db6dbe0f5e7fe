package translog

// HasRecords reports whether somewhere in b, the rest of a log from where it can not be read on, there are records again, one after the
// other up to the end: at least one transaction with a boundary, or three records. Then what is in front of them is damaged, and not an
// unfinished write.
func HasRecords(b []byte) bool {
	for off := 4; off+RecordHeaderSize <= len(b); off += 4 {
		if recordsToEnd(b[off:]) {
			return true
		}
	}
	return false
}

// recordsToEnd reports whether b is nothing but records of known types whose payloads are sound.
func recordsToEnd(b []byte) bool {
	n, boundary := 0, false
	for s := NewScanner(b, Pos{}); ; n++ {
		r, ok := s.Next()
		if !ok {
			return s.Err() == nil && int(s.Pos().Offset) == len(b) && (boundary || n >= 3)
		}
		if !r.Header.Type.Known() {
			return false
		}
		boundary = boundary || r.Header.Type == TypeBoundary
		if r.Header.Type == TypeExtRecUpdate { // its structure depends on the intro before it
			continue
		}
		if _, err := r.Decode(0); err != nil {
			return false
		}
	}
}
