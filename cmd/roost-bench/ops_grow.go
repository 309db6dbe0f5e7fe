package main

import (
	"fmt"
	"io"
	"os"
	"slices"
)

// growth is how long one operation takes, in µs of the median round, with mailboxes of each size. What goes over the mailbox has the time of a message.
type growth struct {
	Operation string               `json:"operation"`
	Constant  bool                 `json:"must_be_constant"`
	Messages  []int                `json:"messages"`
	Micros    map[string][]float64 `json:"micros"`
}

// runGrow measures the operations on the big mailbox, with one connection, at different sizes of it.
func runGrow(f opsFlags) error {
	var ops []op
	for _, o := range operations {
		if o.onBig() {
			o.conns, o.latency = one, false
			ops = append(ops, o)
		}
	}
	dir, err := f.store()
	if err != nil {
		return err
	}
	slices.Sort(f.grow)
	var table []growth
	for i, n := range f.grow {
		results, err := f.ofSize(dir, ops, n)
		if err != nil {
			return err
		}
		for j, r := range results {
			if i == 0 {
				table = append(table, growth{Operation: r.Operation, Constant: constant(r.Operation), Micros: map[string][]float64{}})
			}
			g := &table[j]
			g.Messages = append(g.Messages, n)
			for name, s := range r.Servers {
				g.Micros[name] = append(g.Micros[name], 1e6/s.Median)
			}
		}
	}
	printGrowth(os.Stdout, table, f.grow)
	return writeJSON(f.jsonFile, table)
}

// ofSize measures with n messages in the big mailbox.
func (f opsFlags) ofSize(dir string, ops []op, n int) ([]result, error) {
	spec := storeSpec{messages: n, bodies: 1}
	home, err := buildStore(dir, spec)
	if err != nil {
		return nil, err
	}
	servers, stop, err := f.start(home)
	if err != nil {
		return nil, err
	}
	defer stop()
	fmt.Fprintln(os.Stderr, n, "messages:")
	return measure(f, ops, spec, servers)
}

// onBig reports whether the operation is one of the big mailbox.
func (o op) onBig() bool {
	return o.constant || o.selects == bigBox && o.unit == "messages per s" && o.conns == nil
}

func constant(name string) bool {
	return slices.ContainsFunc(operations, func(o op) bool { return o.name == name && o.constant })
}

// grows is by how much an operation that must be constant may be slower in the largest mailbox than in the smallest.
const grows = 1.5

func printGrowth(w io.Writer, table []growth, sizes []int) {
	fmt.Fprint(w, "| µs for one operation, or for each message where it goes over all |")
	line := "|---|"
	for _, name := range []string{nameRoost, nameDovecot} {
		for _, n := range sizes {
			fmt.Fprintf(w, " %s %s |", name, human(float64(n)))
			line += "---|"
		}
	}
	fmt.Fprintf(w, " |\n%s---|\n", line)
	for _, g := range table {
		fmt.Fprintf(w, "| %s |", g.Operation)
		for _, name := range []string{nameRoost, nameDovecot} {
			for _, v := range g.Micros[name] {
				fmt.Fprintf(w, " %s |", human(v))
			}
		}
		verdict := ""
		if m := g.Micros[nameRoost]; g.Constant && len(m) > 0 && m[len(m)-1] > grows*m[0] {
			verdict = "grows"
		}
		fmt.Fprintf(w, " %s |\n", verdict)
	}
}
