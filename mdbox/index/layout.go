package index

import "slices"

// Record, record_size bytes:
//
//	off  len  field
//	  0    4  uid    uint32, not 0, ascending
//	  4    1  flags
//	  5       extension data, each at the record_offset of its ext header, with gaps
const (
	recordDataOffset = 5
	minRecordSize    = 8 // of a record without extensions
)

// Message flags, as in a record.
const (
	FlagAnswered uint8 = 0x01
	FlagFlagged  uint8 = 0x02
	FlagDeleted  uint8 = 0x04
	FlagSeen     uint8 = 0x08
	FlagDraft    uint8 = 0x10
	FlagBackend  uint8 = 0x40 // private to the storage format
	FlagDirty    uint8 = 0x80 // not yet written to the backend

	flagOldRecent uint8 = 0x20 // \Recent of minor versions 0 and 1
)

// layout returns the place of each extension in a record, and the record size,
// by Dovecot's own rule: the widest alignment first, filling gaps with what fits
// (dovecot src/lib-index/mail-index-sync-ext.c, sync_ext_reorder). The offset of
// an extension without record data is 0.
func layout(exts []*Ext) (offsets []uint16, recordSize uint32) {
	order := make([]int, len(exts))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		return int(exts[b].RecordAlign) - int(exts[a].RecordAlign)
	})
	offsets = make([]uint16, len(exts))
	off, maxAlign := uint32(recordDataOffset), uint32(4)
	for {
		fits, minAlign := -1, uint32(0)
		for _, i := range order {
			e := exts[i]
			if e.RecordAlign <= maxExtRecAlign { // without record data it may be anything
				maxAlign = max(maxAlign, uint32(e.RecordAlign))
			}
			if e.RecordSize == 0 || offsets[i] != 0 {
				continue
			}
			align := uint32(e.RecordAlign)
			if off%align == 0 {
				fits = i
				break
			}
			if minAlign == 0 || align < minAlign {
				minAlign = align
			}
		}
		switch {
		case fits >= 0:
			offsets[fits] = uint16(off)
			off += uint32(exts[fits].RecordSize)
		case minAlign != 0:
			off += minAlign - off%minAlign
		default:
			return offsets, roundUp(off, maxAlign)
		}
	}
}

// recordBound returns a size that a record with the data of exts does not
// exceed, whatever gaps alignment makes.
func recordBound(exts []*Ext) int {
	sum := recordDataOffset
	for _, e := range exts {
		if e.RecordSize > 0 {
			sum += int(e.RecordSize) + maxExtRecAlign
		}
	}
	return sum
}

func roundUp(n, to uint32) uint32 { return (n + to - 1) / to * to }
