package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/roostmail/roost/cmd/internal/rig"
)

type opsFlags struct {
	dir, binary, jsonFile string
	messages, bodies      int
	rounds                int
	seconds               float64
	only                  []string
	conns                 []int
	isolation             string
	grow                  []int
	servers               []string
}

func opsCommand() *cobra.Command {
	var f opsFlags
	cmd := &cobra.Command{
		Use:   "ops",
		Short: "compare IMAP operations with a private Dovecot on copies of one store",
		Long: "Starts roost and a private Dovecot on two copies of one store that Dovecot made, and runs each operation\n" +
			"on both in turn, several rounds in one run. Prints the median, the spread, and roost ÷ Dovecot. Needs root\n" +
			"and the package dovecot-imapd.",
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if len(f.grow) > 0 {
				return runGrow(f)
			}
			return runOps(f)
		},
	}
	cmd.Flags().StringVar(&f.dir, "dir", "var/bench", "where the store is kept between runs")
	cmd.Flags().StringVar(&f.binary, "roost", "bin/roost", "the roost binary")
	cmd.Flags().StringVar(&f.jsonFile, "json", "", "also write the results to this file")
	cmd.Flags().IntVar(&f.messages, "messages", 100_000, "messages in the big mailbox")
	cmd.Flags().IntVar(&f.bodies, "bodies", 2_000, "messages of 50 KB in the bodies mailbox")
	cmd.Flags().IntVar(&f.rounds, "rounds", 5, "rounds")
	cmd.Flags().Float64Var(&f.seconds, "seconds", 0.6, "time per operation, server and round")
	cmd.Flags().StringArrayVar(&f.only, "only", nil, "run only operations whose name contains this; may be given several times")
	cmd.Flags().IntSliceVar(&f.conns, "conns", []int{1, 10}, "numbers of connections, of operations that do not say theirs")
	cmd.Flags().StringVar(&f.isolation, "isolation", "", "inproc: measure roost with its plugins in core as well, as a third server")
	cmd.Flags().IntSliceVar(&f.grow, "grow", nil, "instead of that: print how the time of an operation grows with the mailbox, of these sizes: 1000,10000,100000 or 1000000 too")
	cmd.Flags().StringSliceVar(&f.servers, "servers", []string{"roost", "dovecot"}, "the servers to measure")
	cmd.Flags().MarkHidden("servers") // for a profiler beside it
	return cmd
}

func runOps(f opsFlags) error {
	spec := storeSpec{messages: f.messages, bodies: f.bodies, more: true}
	dir, err := f.store()
	if err != nil {
		return err
	}
	home, err := buildStore(dir, spec)
	if err != nil {
		return err
	}
	servers, stop, err := f.start(home)
	if err != nil {
		return err
	}
	defer stop()
	results, err := measure(f, operations, spec, servers)
	if err != nil {
		return err
	}
	printTable(os.Stdout, results, f.isolation != "")
	for _, s := range servers {
		fmt.Printf("%s: %.1f MB PSS of all processes at the end\n", s.name, float64(rig.MemoryOf(s.pid()).PSS)/1e6)
	}
	return writeJSON(f.jsonFile, results)
}

// store makes the directory of the stores.
func (f opsFlags) store() (string, error) {
	dir, err := filepath.Abs(f.dir)
	if err != nil {
		return "", err
	}
	return dir, os.MkdirAll(dir, 0o755)
}

// writeJSON writes v to a file, "" = to none.
func writeJSON(file string, v any) error {
	if file == "" {
		return nil
	}
	b, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(b, '\n'), 0o644)
}
