package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"theseus/agent/api"
	"theseus/agent/printable"
)

// progress shows an upgrade while it goes on: one line for each step, on a terminal also one live line with
// bytes and rate; with --json one event a line.
type progress struct {
	cli   *cli
	live  bool // stderr is a terminal
	shown bool // a live line is on it
	phase string
	since time.Time
}

func (c *cli) newProgress() *progress {
	c.lines = true
	return &progress{cli: c, live: isTerminal(c.stderr)}
}

func (p *progress) event(e api.Event) {
	switch {
	case p.cli.json:
		p.cli.printLine(e)
	case e.Kind == api.KindProgress:
		p.move(e)
	default:
		p.close()
		_, step, _ := strings.Cut(e.Kind, ".")
		fmt.Fprintf(p.cli.stderr, "%-10s %s\n", step, printable.Text(e.Message))
	}
}

// move redraws the live line.
func (p *progress) move(e api.Event) {
	if !p.live {
		return
	}
	if e.Message != p.phase {
		p.phase, p.since = e.Message, e.Time
	}
	done, total := count(e.Attrs["done"]), count(e.Attrs["total"])
	line := size(done)
	if total > 0 {
		line += fmt.Sprintf(" of %s, %.0f %%", size(total), 100*done/total)
	}
	if d := e.Time.Sub(p.since).Seconds(); d > 0 {
		line += ", " + size(done/d) + "/s"
	}
	fmt.Fprintf(p.cli.stderr, "\r\x1b[K%-10s %s", working[p.phase], line)
	p.shown = true
}

// working names what follows a state.
var working = map[string]string{"requested": "receiving", "received": "unpacking"}

// close takes the live line away.
func (p *progress) close() {
	if p.shown {
		fmt.Fprint(p.cli.stderr, "\r\x1b[K")
		p.shown = false
	}
}

// printLine is one JSON document on one line.
func (c *cli) printLine(v any) {
	out := json.NewEncoder(c.stdout)
	out.SetEscapeHTML(false)
	out.Encode(v)
}

func count(v any) float64 {
	n, _ := v.(float64)
	return n
}

// size is a number of bytes for people.
func size(bytes float64) string {
	for _, unit := range []string{"B", "kB", "MB"} {
		if bytes < 1000 {
			return fmt.Sprintf("%.3g %s", bytes, unit)
		}
		bytes /= 1000
	}
	return fmt.Sprintf("%.3g GB", bytes)
}

func isTerminal(w any) bool {
	file, ok := w.(*os.File)
	if !ok {
		return false
	}
	_, err := unix.IoctlGetTermios(int(file.Fd()), unix.TCGETS)
	return err == nil
}
