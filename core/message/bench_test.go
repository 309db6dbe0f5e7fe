package message

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
)

const benchHeader = "Date: Thu, 15 Feb 2024 09:12:33 +0100\r\n" +
	"From: =?utf-8?q?J=C3=B6rg_M?= <joerg.mustermann@mail.example.org>\r\n" +
	"To: \"Rcpt, One\" <one@example.org>, two@example.org,\r\n\tThree Names Here <three@lists.example.org>\r\n" +
	"Cc: Development List <devel@lists.example.org>\r\n" +
	"Subject: Re: [devel] the quarterly report of the build machines, second try\r\n" +
	"Message-ID: <20240215081233.12345@mail.example.org>\r\n" +
	"In-Reply-To: <20240214081233.54321@lists.example.org>\r\n" +
	"Reply-To: devel@lists.example.org\r\n\r\n"

func BenchmarkEnvelope(b *testing.B) {
	header := []byte(benchHeader)
	b.SetBytes(int64(len(header)))
	b.ReportAllocs()
	var dst []byte
	for b.Loop() {
		dst = AppendEnvelope(dst[:0], header)
	}
}

func benchMessage(parts int) []byte {
	var s strings.Builder
	s.WriteString(strings.TrimSuffix(benchHeader, "\r\n") + "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"=_bnd\"\r\n\r\n")
	for i := range parts {
		fmt.Fprintf(&s, "--=_bnd\r\nContent-Type: text/plain; charset=utf-8; name=\"part%d.txt\"\r\nContent-Disposition: attachment; filename=\"part%d.txt\"\r\n\r\n%s\r\n", i, i, strings.Repeat("some words of text\r\n", 100))
	}
	return []byte(s.String() + "--=_bnd--\r\n")
}

func BenchmarkParse(b *testing.B) {
	for _, parts := range []int{1, 10, 1000} {
		msg := benchMessage(parts)
		b.Run(fmt.Sprintf("parts=%d", parts), func(b *testing.B) {
			b.SetBytes(int64(len(msg)))
			b.ReportAllocs()
			for b.Loop() {
				Parse(msg, Limits{})
			}
		})
	}
}

func BenchmarkBodyStructure(b *testing.B) {
	msg := benchMessage(4)
	b.ReportAllocs()
	var dst []byte
	for b.Loop() {
		dst = Parse(msg, Limits{}).AppendBodyStructure(dst[:0], true)
	}
}

func BenchmarkBodyFromStructure(b *testing.B) {
	structure := Parse(benchMessage(4), Limits{}).AppendBodyStructure(nil, true)
	b.ReportAllocs()
	var dst []byte
	for b.Loop() {
		dst, _ = AppendBodyFromStructure(dst[:0], structure)
	}
}

func BenchmarkSearchText(b *testing.B) {
	msg := benchMessage(10)
	p := NewPattern("no such words")
	b.SetBytes(int64(len(msg)))
	b.ReportAllocs()
	for b.Loop() {
		if p.MatchText(Parse(msg, Limits{}).SearchText()) {
			b.Fatal("found")
		}
	}
}

func BenchmarkSearchBody(b *testing.B) {
	msg := benchMessage(10)
	p := NewPattern("no such words")
	b.SetBytes(int64(len(msg)))
	b.ReportAllocs()
	for b.Loop() {
		if p.MatchBody(Parse(msg, Limits{}).SearchText()) {
			b.Fatal("found")
		}
	}
}

func BenchmarkFolded(b *testing.B) {
	text := bytes.Repeat([]byte("Gr\u00fc\u00dfe aus Wien und \u6771\u4eac "), 100)
	b.SetBytes(int64(len(text)))
	var dst []byte
	for b.Loop() {
		dst = appendFolded(dst[:0], text)
	}
}
