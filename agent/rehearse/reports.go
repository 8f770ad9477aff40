package rehearse

import (
	"bytes"
	"context"
	_ "embed"
	"fmt"
	"os"
	"path/filepath"

	"theseus/rpc/term"
)

//go:embed reports.exprs
var reportsExprs string

// reports are what the nodes of a trial have logged, while they were listened to.
type reports struct {
	file string
	read int // bytes of it
}

// logged is one of them.
type logged struct{ kind, subject, text string }

// listen has the node that runs count what it logs from now on.
func (t *trial) listen(ctx context.Context) error {
	if t.reports == nil {
		t.reports = &reports{file: filepath.Join(t.dir, "reports")}
	}
	file := term.Format(term.Binary(t.reports.file))
	said, err := t.eval(ctx, "File = "+file+",\n"+reportsExprs)
	if err == nil && said != "ok" {
		err = fmt.Errorf("it says %s", said)
	}
	if err != nil {
		return t.lost(fmt.Errorf("cannot listen to what the node logs: %w", err))
	}
	return nil
}

// news are those that came since it was asked last.
func (r *reports) news() (all []logged, err error) {
	text, err := os.ReadFile(r.file)
	if os.IsNotExist(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read what the node has logged: %w", err)
	}
	fresh := text[r.read:]
	r.read += bytes.LastIndexByte(fresh, '\n') + 1 // the last one may be half written
	for line := range bytes.Lines(fresh) {
		if l, ok := parseLogged(line); ok {
			all = append(all, l)
		}
	}
	return all, nil
}

// skip leaves out what came until now.
func (r *reports) skip() error {
	_, err := r.news()
	return err
}

func parseLogged(line []byte) (l logged, ok bool) {
	t, err := term.ParseOne(line)
	tuple, ok := t.(term.Tuple)
	if err != nil || !ok || len(tuple) != 3 {
		return l, false
	}
	kind, _ := tuple[0].(term.Atom)
	subject, _ := tuple[1].(term.Binary)
	text, ok := tuple[2].(term.Binary)
	return logged{string(kind), string(subject), string(text)}, ok
}

// mostQuoted reports of an act are quoted; the others are counted.
const mostQuoted = 5

// hear puts what was logged into an act. What fresh boots log as well, the release does by itself, and it is no finding.
func (s *stage) hear(a *Act, t *trial, usual bool) error {
	all, err := t.reports.news()
	for _, l := range all {
		kind := a.Reports.count(l)
		key := kind + l.subject
		if kind != "" && !usual && !s.usual[key] {
			a.findOnce(kind, l.subject, "%s: %s", l.subject, l.text)
			continue
		}
		s.usual[key] = true
		if len(a.Reports.First) < mostQuoted {
			a.Reports.First = append(a.Reports.First, l.text)
		}
	}
	return err
}

// count gives the kind of finding that it may be.
func (r *Reports) count(l logged) string {
	switch l.kind {
	case "crash":
		r.Crash++
		return CrashReport
	case "supervisor":
		r.Supervisor++
		return SupervisorReport
	}
	r.Errors++
	return ""
}
