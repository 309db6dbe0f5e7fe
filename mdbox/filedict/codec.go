package filedict

import "bytes"

// Dict is the content of a file dictionary. The zero value is an empty one.
type Dict struct {
	keys   []string // in the order of the file
	values map[string]string
}

// Decode reads the content of a file. There is no content that it refuses.
func Decode(b []byte) *Dict {
	d := &Dict{}
	for {
		key, rest, ok := cutLine(b)
		if !ok {
			return d
		}
		value, rest, ok := cutLine(rest)
		if !ok {
			return d
		}
		d.Set(unescape(key), unescape(value))
		b = rest
	}
}

// cutLine cuts the first complete line off b.
func cutLine(b []byte) (line, rest []byte, ok bool) {
	line, rest, ok = bytes.Cut(b, []byte{'\n'})
	return bytes.TrimSuffix(line, []byte{'\r'}), rest, ok
}

// Append appends the file to b: the inverse of Decode.
func (d *Dict) Append(b []byte) []byte {
	for _, key := range d.keys {
		b = append(escape(b, key), '\n')
		b = append(escape(b, d.values[key]), '\n')
	}
	return b
}

// Len returns the number of keys.
func (d *Dict) Len() int { return len(d.keys) }

// Get returns the value of a key.
func (d *Dict) Get(key string) (value string, ok bool) {
	value, ok = d.values[key]
	return value, ok
}

// All calls yield for each key, in the order of the file. The dictionary must not be changed meanwhile.
func (d *Dict) All(yield func(key, value string) bool) {
	for _, key := range d.keys {
		if !yield(key, d.values[key]) {
			return
		}
	}
}

// Set gives a key a value.
func (d *Dict) Set(key, value string) {
	if _, ok := d.values[key]; !ok {
		d.keys = append(d.keys, key)
		if d.values == nil {
			d.values = map[string]string{}
		}
	}
	d.values[key] = value
}

// Delete removes all keys that match is true for, and reports whether there were any.
func (d *Dict) Delete(match func(key string) bool) bool {
	kept := d.keys[:0]
	for _, key := range d.keys {
		if match(key) {
			delete(d.values, key)
		} else {
			kept = append(kept, key)
		}
	}
	changed := len(kept) < len(d.keys)
	clear(d.keys[len(kept):])
	d.keys = kept
	return changed
}

// escapes has the letter that stands for a byte behind escapeByte.
var escapes = map[byte]byte{0: '0', escapeByte: '1', '\t': 't', '\r': 'r', '\n': 'n'}

const escapeByte = 0x01

func escape(b []byte, s string) []byte {
	for i := range len(s) {
		if letter, ok := escapes[s[i]]; ok {
			b = append(b, escapeByte, letter)
		} else {
			b = append(b, s[i])
		}
	}
	return b
}

func unescape(line []byte) string {
	if bytes.IndexByte(line, escapeByte) < 0 {
		return string(line)
	}
	out := make([]byte, 0, len(line))
	for i := 0; i < len(line); i++ {
		c := line[i]
		if c == escapeByte {
			if i++; i == len(line) {
				break
			}
			c = line[i]
			for special, letter := range escapes {
				if letter == c {
					c = special
					break
				}
			}
		}
		out = append(out, c)
	}
	return string(out)
}
