package mdbox

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/roostmail/roost/mdbox/cache"
)

// copySource is where the cached values of a copy are: in the cache of the mailbox that it was copied from, as that was then.
type copySource struct {
	b                 *Mailbox
	guid              [16]byte // of b
	record            record
	indexID, cacheSeq uint32
}

// sourceCache reads the cached values of messages that are being copied, all of one mailbox.
type sourceCache struct {
	few    bool // not many are copied
	opened bool
	file   *cache.File // nil: there is none, or it can not be used
	reader *cache.Reader
}

// values returns what is cached about a message; nothing if it can not be read: then it is computed again when it is needed.
func (c *sourceCache) values(s *copySource) []cache.FieldValue {
	if s.record.cacheOffset == 0 || s.cacheSeq == 0 {
		return nil
	}
	report := s.b.store.options.Report
	if !c.opened {
		c.opened = true
		f, err := s.b.store.options.Cache.Open(s.b.cacheFile, s.indexID, s.cacheSeq)
		switch {
		case err == nil:
			c.file = f
			if c.few {
				c.reader = f.NewSparseReader()
			} else {
				c.reader = f.NewReader()
			}
		case !errors.Is(err, cache.ErrStale) && !errors.Is(err, fs.ErrNotExist):
			report(fmt.Errorf("mdbox: cache of %s: %w", s.b.name, err))
		}
	}
	if c.reader == nil {
		return nil
	}
	values, err := c.reader.AppendValues(nil, s.record.cacheOffset)
	if err != nil {
		report(fmt.Errorf("mdbox: cache of %s, UID %d: %w", s.b.name, s.record.uid, err))
		return nil
	}
	return values
}

func (c *sourceCache) close() {
	if c.file != nil {
		c.reader.Release()
		c.file.Close()
	}
}
