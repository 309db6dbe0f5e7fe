package imap

import (
	"encoding/hex"
	"testing"
)

// urlServer is a server of which only the URLs matter.
func urlServer() *Server {
	return &Server{cfg: Config{URLAuthHost: "mail.example.org", URLAuthPort: 143, URLAuthSubmit: []string{"submit"}}}
}

const urlToken = "01000102030405060708090a0b0c0d0e0f10111213"

func TestAuthURL(t *testing.T) {
	const base = "imap://jane@mail.example.org/INBOX/;uid=1"
	for _, c := range []struct {
		url  string
		rump string // "" = refused
		user string // of the mailbox
		may  string // of jane, joe and submit
	}{
		{base + ";urlauth=anonymous:internal:" + urlToken, base + ";urlauth=anonymous", "jane", "jane joe submit "},
		{base + ";urlauth=authuser", base + ";urlauth=authuser", "jane", "jane joe submit "},
		{base + ";urlauth=user+joe:INTERNAL:" + urlToken, base + ";urlauth=user+joe", "jane", "joe "},
		{base + ";urlauth=user+j%6Fe:internal:" + urlToken, base + ";urlauth=user+j%6Fe", "jane", "joe "},
		{base + ";urlauth=submit+joe", base + ";urlauth=submit+joe", "jane", "submit "},
		{"IMAP://a%40b;AUTH=*@MAIL.EXAMPLE.ORG:143/x/;UID=1;EXPIRE=2030-01-01T00:00:00Z;URLAUTH=ANONYMOUS",
			"IMAP://a%40b;AUTH=*@MAIL.EXAMPLE.ORG:143/x/;UID=1;EXPIRE=2030-01-01T00:00:00Z;URLAUTH=ANONYMOUS", "a@b", "jane joe submit "},
		{base, "", "", ""},
		{base + ";urlauth=", "", "", ""},
		{base + ";urlauth=user+", "", "", ""},
		{base + ";urlauth=everybody", "", "", ""},
		{base + ";urlauth=anonymous:internal:", "", "", ""},
		{base + ";urlauth=anonymous:internal:0102", "", "", ""},
		{base + ";urlauth=anonymous:internal", "", "", ""},
		{base + ";urlauth=anonymous::" + urlToken, "", "", ""},
		{base + ";expire=tomorrow;urlauth=anonymous", "", "", ""},
		{"imap://jane@mail.example.org/INBOX;urlauth=anonymous", "", "", ""},
		{"imap://jane@mail.example.org/;urlauth=anonymous", "", "", ""},
		{"imap://mail.example.org/INBOX/;uid=1;urlauth=anonymous", "", "", ""},
		{"imap://jane@example.org/INBOX/;uid=1;urlauth=anonymous", "", "", ""},
		{"imap://jane@mail.example.org:993/INBOX/;uid=1;urlauth=anonymous", "", "", ""},
		{"/INBOX/;uid=1;urlauth=anonymous", "", "", ""},
	} {
		srv := urlServer()
		u, err := srv.parseAuthURL(c.url)
		if err != nil || c.rump == "" {
			if err == nil || c.rump != "" {
				t.Errorf("%s: %v", c.url, err)
			}
			continue
		}
		may := ""
		for _, user := range []string{"jane", "joe", "submit"} {
			if u.admits(srv, user) {
				may += user + " "
			}
		}
		if u.rump != c.rump || u.user != c.user || may != c.may {
			t.Errorf("%s: rump %s, user %s, for %s", c.url, u.rump, u.user, may)
		}
	}
}

// TestURLToken: one that Dovecot 2.3.19 has made.
func TestURLToken(t *testing.T) {
	key, err := hex.DecodeString("3fd3584d650b55ec8a4f1c671d2845b979041253c1eb426f4d94447839613dfe417a63fe0fbacc68c5befbbd8965c0fa0d32d4b9a93a7ddd1e1b0fa8b7827823")
	if err != nil {
		t.Fatal(err)
	}
	const want = "0144de9586e79c456e112c966c4fc7ce525a5575ed"
	if got := hex.EncodeToString(tokenOf(key, "imap://joe@mail.example.org/INBOX/;uid=1;urlauth=user+joe")); got != want {
		t.Errorf("token %s, want %s", got, want)
	}
}

func FuzzAuthURL(f *testing.F) {
	f.Add("imap://jane@mail.example.org/INBOX/;uid=1;urlauth=anonymous:internal:" + urlToken)
	f.Add("imap://a%40b;AUTH=*@mail.example.org:143/x/;UID=1/;SECTION=1.MIME;EXPIRE=2030-01-01T00:00:00Z;URLAUTH=user+joe")
	f.Fuzz(func(t *testing.T, s string) {
		u, err := urlServer().parseAuthURL(s)
		if err != nil {
			return
		}
		again, err := urlServer().parseAuthURL(u.rump)
		if err != nil || again.rump != u.rump || again.user != u.user || again.access != u.access || again.mechanism != "" {
			t.Fatalf("%q has the rump %q: %+v, %v", s, u.rump, again, err)
		}
	})
}
