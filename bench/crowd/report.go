package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"time"
)

// target is the longest echo by the derived relup, as a part of that by the other one.
const target = 0.1

func report(w io.Writer, cfg config, derived, habit *contender) {
	fmt.Fprintf(w, "OTP %s, %d sessions, %d of them with a connection, %.0f lines a second, %d rounds; load average at the end %s.\n\n",
		cfg.otp, cfg.sessions, derived.samples[0].connected, cfg.rate, cfg.rounds, averages())
	fmt.Fprintln(w, "| relup | longest echo: shortest | median | longest | before, median | command, median | failed, dropped, lost |")
	fmt.Fprintln(w, "|---|--:|--:|--:|--:|--:|--:|")
	for _, c := range []*contender{derived, habit} {
		longest := sorted(c, func(s sample) time.Duration { return s.longest })
		fmt.Fprintf(w, "| %s | %s | %s | %s | %s | %s | %d |\n", c.name,
			ms(longest[0]), ms(middle(longest)), ms(longest[len(longest)-1]),
			ms(middle(sorted(c, func(s sample) time.Duration { return s.before }))),
			ms(middle(sorted(c, func(s sample) time.Duration { return s.command }))),
			slices.Max(sorted(c, func(s sample) int { return s.report.Total.Failed + s.report.Total.Dropped + s.report.Total.Lost })))
	}
	pick := func(s sample) time.Duration { return s.longest }
	ratio := float64(middle(sorted(derived, pick))) / float64(middle(sorted(habit, pick)))
	met := "met"
	if ratio > target {
		met = "**missed**"
	}
	fmt.Fprintf(w, "\nDerived / by habit: %.3f, target ≤ %g: %s.\n", ratio, target, met)
}

func sorted[T cmp.Ordered](c *contender, pick func(sample) T) []T {
	values := make([]T, 0, len(c.samples))
	for _, s := range c.samples {
		values = append(values, pick(s))
	}
	slices.Sort(values)
	return values
}

func middle[T any](sorted []T) T { return sorted[len(sorted)/2] }

func ms(d time.Duration) string { return fmt.Sprintf("%.0f ms", float64(d.Microseconds())/1000) }
