package admin

import (
	"fmt"
	"html/template"
	"net/http"
	"strings"
	"text/tabwriter"
)

// state is what the status page calls a component's state.
func (c Component) state() string {
	switch {
	case c.State != "":
		return c.State
	case c.OK:
		return "up"
	}
	return "DOWN"
}

// status writes the page: HTML for browsers, text for everybody else. Errors of w are those of a client that is gone.
func status(w http.ResponseWriter, r *http.Request, o Options) {
	plain(w)
	w.Header().Set("Vary", "Accept")
	if strings.Contains(r.Header.Get("Accept"), "text/html") {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
		_ = page.Execute(w, map[string]any{"Sections": o.Status(), "Components": o.Components()})
		return
	}
	table := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	defer table.Flush()
	for _, s := range o.Status() {
		fmt.Fprintf(table, "%s\n", s.Title)
		for _, r := range s.Rows {
			fmt.Fprintf(table, "  %s\t%s\n", r.Name, r.Value)
		}
		fmt.Fprintln(table)
	}
	fmt.Fprintln(table, "Components")
	for _, c := range o.Components() {
		fmt.Fprintf(table, "  %s\t%s\t%s\n", c.Name, c.state(), c.Detail)
	}
}

// page has no script, and nothing from elsewhere. It loads itself anew every ten seconds.
var page = template.Must(template.New("status").Funcs(template.FuncMap{"state": Component.state}).Parse(`<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta http-equiv="refresh" content="10">
<meta name="viewport" content="width=device-width">
<title>roost</title>
<style>
body { font: 14px/1.4 sans-serif; margin: 2em auto; max-width: 60em; padding: 0 1em; color-scheme: light dark }
h1, h2 { font-size: 1.2em; margin: 1.5em 0 .3em }
table { border-collapse: collapse; width: 100% }
td { padding: .15em .8em .15em 0; vertical-align: top; border-top: 1px solid #8884 }
td:first-child { white-space: nowrap }
.ok { color: #080 } .bad { color: #c00; font-weight: bold }
</style>
{{range $n, $s := .Sections}}
{{if eq $n 0}}<h1>{{$s.Title}}</h1>{{else}}<h2>{{$s.Title}}</h2>{{end}}
<table>{{range $s.Rows}}<tr><td>{{.Name}}<td>{{.Value}}{{end}}</table>
{{if eq $n 0}}<h2>Components</h2>
<table>{{range $.Components}}<tr><td>{{.Name}}<td class="{{if .OK}}ok{{else}}bad{{end}}">{{state .}}<td>{{.Detail}}{{end}}</table>{{end}}
{{end}}`))
