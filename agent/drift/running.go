package drift

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"io"
	"slices"

	"theseus/rpc"
	"theseus/rpc/term"
	"theseus/volume"
)

//go:embed running.exprs
var runningExprs string

// Consolidated stands for an application in differences of the protocols that mix has consolidated for a release.
const Consolidated = "consolidated"

// Evaluator evaluates expressions of Erlang in a node, and writes the value of the last one as JSON.
type Evaluator interface {
	Evaluate(ctx context.Context, expressions string, out io.Writer) error
}

// Node is what is compared with its release. *rpc.Node is one.
type Node interface {
	Evaluator
	Applications(ctx context.Context) ([]rpc.App, error)
}

// Found is in what a node is not its release.
type Found struct {
	Modules     int // that are loaded
	Differences []Difference
	More        map[string]int // by kind, that are not among them; what decides about an upgrade always is
	Unknown     []string       // what could not be looked at
}

// Beyond counts those of some kinds that are not among the differences.
func (f Found) Beyond(which func(Difference) bool) (count int) {
	for kind, more := range f.More {
		if which(Difference{Kind: kind}) {
			count += more
		}
	}
	return count
}

// Scope is how much is looked at. Reading the files of all of OTP's applications takes a node half a second.
type Scope struct {
	Applications []string // of which the code is compared with their files; nil: all
	Processes    bool     // whether processes were left in old code: each of them is looked at
}

// Check compares a node with the release that it should run: its code, its code path, the environments of its applications,
// which of them run, and which processes were left in code that was replaced.
func Check(ctx context.Context, node Node, release volume.Release) (Found, error) {
	found, err := Code(ctx, node, release, Scope{Processes: true})
	if err != nil {
		return found, err
	}
	running, err := node.Applications(ctx)
	found.Differences = append(found.Differences, Applications(running, release)...)
	return found, err
}

// Code is Check without the applications that run, and as much of it as the scope has.
func Code(ctx context.Context, node Evaluator, release volume.Release, scope Scope) (Found, error) {
	var answer bytes.Buffer
	if err := node.Evaluate(ctx, bindings(release, scope)+runningExprs, &answer); err != nil {
		return Found{}, err
	}
	var found Found
	if err := json.Unmarshal(answer.Bytes(), &found); err != nil {
		return found, fmt.Errorf("cannot read in what the node differs: %w", err)
	}
	found.Differences = slices.DeleteFunc(found.Differences, isOwnParameter)
	return found, nil
}

func bindings(release volume.Release, scope Scope) string {
	libs := term.List{}
	for _, lib := range release.Libs {
		libs = append(libs, term.Tuple{term.Atom(lib.App), term.String(lib.Version)})
	}
	var only term.Term = term.Atom("all")
	if scope.Applications != nil {
		only = names(append(scope.Applications, Consolidated))
	}
	return fmt.Sprintf("Version = %s, Libs = %s, Only = %s, Lingering = %t,\n", term.Format(term.String(release.Version)), term.Format(libs), term.Format(only), scope.Processes)
}

func names(apps []string) (set term.Map) {
	for _, app := range apps {
		set = append(set, term.Pair{Key: term.Atom(app), Value: term.Atom("true")})
	}
	return set
}

// Applications compares those that run with the release.
func Applications(running []rpc.App, release volume.Release) (all []Difference) {
	versions := map[string]string{}
	for _, app := range running {
		versions[app.Name] = app.Version
	}
	for _, lib := range release.Libs {
		version, runs := versions[lib.App]
		d := Difference{Application: lib.App, Subject: lib.App, Want: lib.Version, Got: version}
		switch {
		case !runs && lib.Stays():
			d.Kind = ApplicationMissing
		case runs && version != lib.Version:
			d.Kind = ApplicationVersion
		default:
			continue
		}
		all = append(all, d)
	}
	for _, app := range running {
		if _, known := release.Lib(app.Name); !known {
			all = append(all, Difference{Kind: ApplicationExtra, Application: app.Name, Subject: app.Name, Got: app.Version})
		}
	}
	return all
}

// Mismatch is an error for the first application that does not run as it should. One that no release has is none.
func Mismatch(applications []Difference) error {
	for _, d := range applications {
		switch d.Kind {
		case ApplicationMissing:
			return fmt.Errorf("application %s does not run", d.Subject)
		case ApplicationVersion:
			return fmt.Errorf("application %s runs in version %s, not %s", d.Subject, d.Got, d.Want)
		}
	}
	return nil
}

// IsDrift tells what is not as it should be from what is worth knowing: what a release sets at run time is its own business, and processes in
// old code end by themselves or at the next upgrade.
func IsDrift(d Difference) bool { return d.Kind != EnvironmentExtra && d.Kind != OldCode }
