package dbox

import (
	"fmt"
	"strings"
	"testing"
)

// BenchmarkSave saves a message as a transaction of its own, with and without making it durable.
func BenchmarkSave(b *testing.B) {
	for _, size := range []int{4 << 10, 100 << 10, 1 << 20} {
		line := strings.Repeat("x", 74) + "\r\n"
		text := strings.Repeat(line, size/len(line))
		for _, c := range []Compression{Uncompressed, LZ4, Zstd, Gzip} {
			for _, sync := range []bool{false, true} {
				if sync && c != Uncompressed {
					continue
				}
				b.Run(fmt.Sprintf("bytes=%d/%s/sync=%v", size, c, sync), func(b *testing.B) {
					s := newFiles(b, func(conf *Config) { conf.SaveCompression = c })
					b.SetBytes(int64(len(text)))
					b.ReportAllocs()
					last, id := Candidate{}, FileID(0)
					for b.Loop() {
						a := s.NewAppender(candidatesOf(last))
						st, err := a.Save(NewMessage{Mailbox: "INBOX", SizeHint: uint64(len(text))}, strings.NewReader(text))
						if err != nil {
							b.Fatal(err)
						}
						if sync {
							if err := a.Sync(); err != nil {
								b.Fatal(err)
							}
						}
						if err := a.Name(id + 1); err != nil {
							b.Fatal(err)
						}
						id = a.FileID(st)
						last = Candidate{id, uint64(st.Offset) + uint64(st.Size)}
						if err := a.Release(); err != nil {
							b.Fatal(err)
						}
					}
				})
			}
		}
	}
}
