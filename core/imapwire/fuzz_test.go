package imapwire

import "testing"

// FuzzDecoder reads any bytes with every method in an order that the input
// chooses: no panic, never beyond the end, never backwards, and progress or an error.
func FuzzDecoder(f *testing.F) {
	for _, s := range []string{
		"a1 LOGIN {3}\r\nabc \"pa\\\"ss\"\r\n", "a FETCH 1:*,5 (FLAGS BODY.PEEK[1.MIME]<0.10>)\r\n",
		"a STORE 1 (\\Seen $x)\r\n", "a APPEND x \" 7-Feb-1994 22:43:04 -0800\" {1+}\r\nx", "((((((", "{99999999999999999999}",
	} {
		f.Add([]byte(s), []byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16})
	}
	f.Fuzz(func(t *testing.T, cmd, ops []byte) {
		d := NewDecoder(cmd, Limits{Depth: 4, Items: 100})
		last := 0
		for _, op := range ops {
			step(&d, op)
			if d.Pos() < last || d.Pos() > len(cmd) {
				t.Fatalf("op %d: position %d after %d, of %d", op, d.Pos(), last, len(cmd))
			}
			last = d.Pos()
		}
		d.End()
		if d.Err() == nil && d.Pos() != len(cmd) {
			t.Errorf("End at %d of %d without an error", d.Pos(), len(cmd))
		}
	})
}

func step(d *Decoder, op byte) {
	switch op % 17 {
	case 0:
		d.Tag()
	case 1:
		d.TrySP()
	case 2:
		d.Word()
	case 3:
		d.SP()
	case 4:
		d.AString()
	case 5:
		d.NString()
	case 6:
		d.Number64()
	case 7:
		for range Numbers(d.NumSet().Ranges(9)) {
			break
		}
	case 8:
		d.FlagList()
	case 9:
		d.Date()
	case 10:
		d.DateTime()
	case 11:
		d.ListMailbox()
	case 12:
		d.List(func() { step(d, op/17) })
	case 13:
		d.Name()
	case 14:
		d.TryWord("NIL")
	case 15:
		d.NZNumber()
	case 16:
		d.Byte('(')
	}
}
