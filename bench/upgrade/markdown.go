package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"time"
)

func printMarkdown(w io.Writer, cfg config, all []*result, calls []latency) {
	fmt.Fprintf(w, "OTP %s, %d HTTP clients, %d sessions, medians of %d rounds; failed, dropped and lost: the worst round.\n\n",
		cfg.otp, cfg.load.HTTPClients, cfg.load.Sessions, cfg.rounds)
	fmt.Fprintf(w, "    %s\n\n", cfg.command)
	printUpgrades(w, all)
	printCalls(w, calls)
	printTargets(w, all, calls)
}

func printUpgrades(w io.Writer, all []*result) {
	fmt.Fprintln(w, "| 1.0.0 to 1.1.0 by | failed requests | dropped connections | clients with lost state | longest pause | (before) | command | new version serving | extra memory |")
	fmt.Fprintln(w, "|---|--:|--:|--:|--:|--:|--:|--:|--:|")
	for _, r := range all {
		fmt.Fprintf(w, "| %s | %d | %d | %d | %s | %s | %s | %s | %.1f MB |\n", r.label,
			worst(r, failed), worst(r, dropped), worst(r, lost),
			ms(median(r, longestPause)), ms(median(r, steadyPause)), ms(median(r, command)), ms(median(r, serving)),
			float64(median(r, extra))/1e6)
	}
}

func printCalls(w io.Writer, calls []latency) {
	if len(calls) == 0 {
		return
	}
	fmt.Fprintln(w, "\n| command | median | fastest | slowest |")
	fmt.Fprintln(w, "|---|--:|--:|--:|")
	for _, c := range calls {
		fmt.Fprintf(w, "| `%s` | %s | %s | %s |\n", c.name,
			ms(middle(c.times)), ms(slices.Min(c.times)), ms(slices.Max(c.times)))
	}
}

// printTargets shows the ratios that are promised, where both sides were measured.
func printTargets(w io.Writer, all []*result, calls []latency) {
	fmt.Fprintln(w, "\n| ratio | measured | target |")
	fmt.Fprintln(w, "|---|--:|--:|")
	of := func(name, label, base string, pick func(sample) time.Duration, target float64) {
		if a, b := find(all, label), find(all, base); a != nil && b != nil {
			printRatio(w, name, float64(median(a, pick)), float64(median(b, pick)), target)
		}
	}
	const relx, bare = "relx script, full package", "bare install_release, full package"
	of("command / relx script, same package", "agent, unwatched, full package", relx, command, .25)
	of("command, thin package / relx script", "agent, unwatched, thin package", relx, command, .25)
	of("command / relx script, 40 MB package", "agent, unwatched, 40 MB package", "relx script, 40 MB package", command, .4)
	of("longest pause / bare install_release", "agent, unwatched, full package", bare, longestPause, 1.2)
	of("longest pause, thin package / bare install_release", "agent, thin package", bare, longestPause, 1.2)
	if a, b := find(all, "agent, thin package"), find(all, "nginx blue-green, full package"); a != nil && b != nil {
		printRatio(w, "extra memory / blue-green", float64(median(a, extra)), float64(median(b, extra)), .1)
	}
	if len(calls) > 0 {
		rpc := call(calls, "agent rpc")
		printRatio(w, "agent rpc / erl_call -a", rpc, call(calls, "erl_call -a"), 2.5)
		printRatio(w, "agent rpc / relx rpc", rpc, call(calls, "relx rpc"), .15)
		printRatio(w, "agent rpc / "+mixRPC, rpc, call(calls, mixRPC), .02)
	}
}

func printRatio(w io.Writer, name string, a, b, target float64) {
	met := ""
	if a > b*target {
		met = " **missed**"
	}
	fmt.Fprintf(w, "| %s | %.3f%s | ≤ %g |\n", name, a/b, met, target)
}

func find(all []*result, label string) *result {
	i := slices.IndexFunc(all, func(r *result) bool { return r.label == label })
	if i < 0 {
		return nil
	}
	return all[i]
}

func call(calls []latency, name string) float64 {
	i := slices.IndexFunc(calls, func(l latency) bool { return l.name == name })
	return float64(middle(calls[i].times))
}

func failed(s sample) int                 { return s.report.Total.Failed }
func dropped(s sample) int                { return s.report.Total.Dropped }
func lost(s sample) int                   { return s.report.HTTP.Lost() + s.report.Sessions.Lost() }
func command(s sample) time.Duration      { return s.command }
func serving(s sample) time.Duration      { return s.serving }
func extra(s sample) int64                { return s.extra }
func steadyPause(s sample) time.Duration  { return s.report.Phases[0].LongestPause }
func longestPause(s sample) time.Duration { return s.report.Phases[1].LongestPause }

func worst(r *result, pick func(sample) int) int {
	most := 0
	for _, s := range r.runs {
		most = max(most, pick(s))
	}
	return most
}

func median[T cmp.Ordered](r *result, pick func(sample) T) T {
	var values []T
	for _, s := range r.runs {
		values = append(values, pick(s))
	}
	return middle(values)
}

func middle[T cmp.Ordered](values []T) T {
	values = slices.Sorted(slices.Values(values))
	return values[len(values)/2]
}

func ms(d time.Duration) string { return fmt.Sprintf("%.1f ms", float64(d.Microseconds())/1000) }
