package index

// Ext is an extension of an index: data in the header, and a fixed number of
// bytes for each message. What it means is not known here, but for "keywords"
// and "modseq"; every extension is kept as it is.
type Ext struct {
	Name        string
	ResetID     uint32 // generation of the data
	RecordSize  uint16 // bytes per message, 0 = header data only
	RecordAlign uint16

	hdrSize uint32
	hdr     []byte // hdrSize bytes, then padding to a multiple of 8
	column  column // in the order of the messages
}

// Header returns the header data. It is valid until the next Refresh.
func (e *Ext) Header() []byte { return e.hdr[:e.hdrSize:e.hdrSize] }

// Record returns the data of message i, counted from 0. It is valid until the
// next Refresh or Column. An extension without record data gives an empty slice.
func (e *Ext) Record(i int) []byte {
	return e.column.row(i, int(e.RecordSize))
}

// Column returns the data of all messages, RecordSize bytes each. It is valid
// until the next Refresh.
func (e *Ext) Column() []byte { return e.column.all(int(e.RecordSize)) }

// resizeHeader changes the header data to size bytes. As in Dovecot's memory,
// bytes in the padding survive.
func (e *Ext) resizeHeader(size uint32) {
	padded := pad8(int(size))
	if padded <= len(e.hdr) {
		e.hdr = e.hdr[:padded]
	} else {
		e.hdr = append(e.hdr, make([]byte, padded-len(e.hdr))...)
	}
	e.hdrSize = size
}

// resizeRecords changes the record size to size bytes for messages messages:
// what is there is kept from the start of each record, new bytes are zero.
func (e *Ext) resizeRecords(size uint16, messages int) {
	old, n := int(e.RecordSize), int(size)
	rows, before := make([]byte, messages*n), e.column.all(old)
	if keep := min(old, n); keep > 0 {
		for i := range messages {
			copy(rows[i*n:], before[i*old:i*old+keep])
		}
	}
	e.column, e.RecordSize = column{b: rows}, size
}

// clear zeroes header data and records.
func (e *Ext) clear() {
	clear(e.hdr[:e.hdrSize])
	clear(e.column.b)
}
