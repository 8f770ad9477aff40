// Init compares the agent's way of being PID 1 with tini, dumb-init and none, side by side in one run.
//
//	go run ./bench/init [-rounds N] [-agent PATH]
//
// Each subject runs as PID 1 of a new PID namespace, which makes and ends it at the same cost for all. The
// subjects take turns within a round, so that what else the machine does strikes all of them. Every number
// is a median over all rounds; "over none" is the difference between medians.
//
//   - start: wall time from fork to exit of the init with /bin/true under it, 20 a round.
//   - memory: VmRSS and RssAnon of the init while its child waits, after the signals of the round.
//   - signal: from kill(2) of a TERM to the init until a byte comes back from the child that handled it, 50
//     a round, one at a time. The child is a Go program, the same for all, and its own share is what "none"
//     shows.
//
// The subject "signals" is this program with package signals under it, used as the agent uses it: New, Run,
// Start, and each request to stop passed on as TERM. The whole agent also links what it speaks to the node
// and to the socket with, and so is larger: -agent adds it as `PATH run --raw --`. A subject that is not
// installed, or cannot run, has a row that says so. Needs root, for the namespaces.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"text/tabwriter"
)

func main() {
	if role, ok := roles[os.Getenv(roleVariable)]; ok {
		os.Exit(role(os.Args[1:]))
	}
	rounds := flag.Int("rounds", 20, "how often each subject has its turn")
	agent := flag.String("agent", "", "measure this agent binary too")
	flag.Parse()
	if err := run(*rounds, subjects(*agent), os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "init:", err)
		os.Exit(1)
	}
}

// subject is an init: the words before the command that runs under it.
type subject struct {
	name   string
	prefix []string
	role   string // of this program, when that is the subject
	samples
	err error
}

// subjects begins with none, which the others are compared with.
func subjects(agent string) []*subject {
	list := []*subject{
		{name: "none"},
		{name: "tini", prefix: []string{"tini", "--"}},
		{name: "dumb-init", prefix: []string{"dumb-init", "--"}},
		{name: "signals", role: roleInit},
	}
	if agent != "" {
		list = append(list, &subject{name: "agent", prefix: []string{agent, "run", "--raw", "--"}})
	}
	return list
}

func run(rounds int, subjects []*subject, out io.Writer) error {
	if os.Getuid() != 0 {
		return fmt.Errorf("cannot make PID namespaces: needs root")
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	for _, s := range subjects {
		if s.role != "" {
			s.prefix = []string{self}
		}
		s.err = s.runs()
	}
	for range rounds {
		for _, s := range subjects {
			if s.err == nil {
				s.err = s.round(self)
			}
		}
	}
	return report(subjects, out)
}

// runs says whether the subject can be measured at all.
func (s *subject) runs() error {
	if len(s.prefix) > 0 {
		if _, err := exec.LookPath(s.prefix[0]); err != nil {
			return err
		}
	}
	return s.command("/bin/true").Run()
}

// report prints a Markdown table that is aligned for the eye, too.
func report(subjects []*subject, out io.Writer) error {
	none := subjects[0]
	if none.err != nil {
		return none.err
	}
	table := tabwriter.NewWriter(out, 0, 0, 1, ' ', tabwriter.Debug)
	row := func(cells ...any) {
		for _, cell := range cells {
			fmt.Fprintf(table, "\t %v", cell)
		}
		fmt.Fprintln(table, "\t")
	}
	row("init", "start ms", "over none", "× none", "RSS MiB", "of it anon", "signal µs", "over none", "× none", "p99 µs")
	row("---", "---:", "---:", "---:", "---:", "---:", "---:", "---:", "---:", "---:")
	for _, s := range subjects {
		if s.err != nil {
			row(s.name, s.err, "", "", "", "", "", "", "", "")
			continue
		}
		start, base := median(s.start), median(none.start)
		signal, direct := median(s.signal), median(none.signal)
		rss, anon := fmt.Sprintf("%.1f", median(s.rss)), fmt.Sprintf("%.1f", median(s.anon))
		if s == none {
			rss, anon = "–", "–" // it is the command's own
		}
		row(s.name,
			fmt.Sprintf("%.2f", start), fmt.Sprintf("%+.2f", start-base), fmt.Sprintf("%.2f", start/base), rss, anon,
			fmt.Sprintf("%.0f", signal), fmt.Sprintf("%+.0f", signal-direct), fmt.Sprintf("%.2f", signal/direct),
			fmt.Sprintf("%.0f", quantile(s.signal, 0.99)))
	}
	return table.Flush()
}
