package main

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"theseus/integration/load"
)

func printReport(w io.Writer, r *load.Report) {
	fmt.Fprintln(w)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "phase\tseconds\trequests\tfailed\tdropped\tlost state\tp50\tp99\tp99.9\tlongest pause\t")
	for _, p := range append(r.Phases, r.Total) {
		fmt.Fprintf(t, "%s\t%.1f\t%d\t%d\t%d\t%d\t%s\t%s\t%s\t%s\t\n", p.Name, p.Duration.Seconds(),
			p.Requests, p.Failed, p.Dropped, p.Lost, ms(p.P50), ms(p.P99), ms(p.P999), ms(p.LongestPause))
	}
	t.Flush()
	fmt.Fprintln(w)
	printClients(w, "HTTP clients", "counters", r.HTTP)
	printClients(w, "TCP sessions", "sessions", r.Sessions)
	for kind, n := range r.Total.Failures {
		fmt.Fprintf(w, "failed: %s: %d\n", kind, n)
	}
}

func printClients(w io.Writer, name, state string, c load.Clients) {
	fmt.Fprintf(w, "%s: %d of %d connections kept, %d of %d %s whose state survived\n",
		name, c.Kept, c.Opened, c.StateKept, c.Opened, state)
	for _, loss := range c.Losses {
		fmt.Fprintln(w, "  lost:", loss)
	}
}

func ms(d time.Duration) string { return fmt.Sprintf("%.1f ms", float64(d.Microseconds())/1000) }
