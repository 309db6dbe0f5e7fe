package message

import "testing"

// TestCharsets: charsets of real mail, under the names that it has there.
func TestCharsets(t *testing.T) {
	for _, tc := range []struct{ name, text, want string }{
		{"utf-7", "Gr+APwA3w-e aus K+APY-ln", "Grüße aus Köln"},
		{"UTF-7", "Hi Mom -+Jjo--! +ZeVnLIqe.", "Hi Mom -☺-! 日本語."}, // RFC 2152
		{"unicode-1-1-utf-7", "+2D3eAA-", "😀"},
		{"utf-7", "1 +- 1, + 1, +A, +2D3", "1 + 1, + 1, , \ufffd"},
		{"iso-2022-kr", "\x1b$)C\x0eGQ19>n\x0f (\x0eGQ\x0f)\r\n", "한국어 (한)\r\n"}, // RFC 1557
		{"ISO-2022-KR", "\x1b$)C\x0eGQ\nGQ\x0f", "한\nGQ"},
		{"iso-2022-jp-2", "\x1b$BF|K\\8l\x1b(B!", "日本語!"},
		{"CP932", "\x93\xfa\x96\x7b", "日本"},
		{"cp949", "\xc7\xd1\xb1\xb9", "한국"},
		{"cp950", "\xa4\xa4", "中"},
		{"latin9", "\xa4", "€"},
		{"windows-1251", "\xef\xf0", "пр"},
		{"utf-8", "ü", "ü"},
		{"x-unknown", "\xfc", "\xfc"},
	} {
		if got := string(utf8Of([]byte(tc.text), []byte(tc.name))); got != tc.want {
			t.Errorf("%s: %q became %q, want %q", tc.name, tc.text, got, tc.want)
		}
	}
}
