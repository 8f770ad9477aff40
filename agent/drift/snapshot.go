// Package drift says what a node is, and where that is not what it should be: the node that was upgraded beside one that
// was booted, and the node that runs beside its release.
package drift

import (
	"context"
	_ "embed"
	"fmt"
	"time"

	"theseus/agent/api"
)

//go:embed snapshot.exprs
var snapshotExprs string

// snapshotTimeout is more than the node takes, which ends by itself (snapshot.exprs).
const snapshotTimeout = time.Minute

// Snapshot is what a node is at a moment, as far as two nodes of one release are alike in it. Texts are Erlang; the root of the
// release in them is $ROOT, and pids, references and funs have no numbers. How many processes there are under supervisors
// whose children come and go is in Dynamic alone.
type Snapshot struct {
	Embedded     bool                   `json:"embedded"` // all code was loaded at the boot
	Modules      map[string]Module      `json:"modules"`
	Applications map[string]Application `json:"applications"`
	Children     map[string]Child       `json:"children"`  // by the ids that lead to them: demo/demo_sup/listener
	Dynamic      map[string]int         `json:"dynamic"`   // children without an id
	Names        map[string]string      `json:"names"`     // with the initial call of who has it
	Tables       []Table                `json:"tables"`    // of ETS
	Path         []string               `json:"path"`      // of code
	Processes    map[string]int         `json:"processes"` // by initial call
	Silent       []string               `json:"silent"`    // who did not answer: a supervisor, or all applications or processes
}

// Module is one that was loaded from a file.
type Module struct {
	MD5  string `json:"md5"`
	File string `json:"file"`
}

// String is empty for none.
func (m Module) String() string {
	if m.MD5 == "" {
		return ""
	}
	return fmt.Sprintf("md5 %s of %s", m.MD5, m.File)
}

// Application is one that is loaded.
type Application struct {
	Version     string            `json:"version"`
	Running     bool              `json:"running"`
	Environment map[string]string `json:"environment"` // digests, by names such as pool.size where a value is made of named ones
}

// Child is a child of a supervisor that has an id. What only the supervisor of OTP can be asked for is empty for others.
type Child struct {
	Type    string `json:"type"`
	Modules string `json:"modules"`
	Restart string `json:"restart"`
	Start   string `json:"start"`
	Call    string `json:"call"` // of the process
	Running bool   `json:"running"`
}

// Table is a table of ETS, or several of one name.
type Table struct {
	Name  string `json:"name"`
	Owner string `json:"owner"` // its name, or else its initial call
	Type  string `json:"type"`
	Named bool   `json:"named"`
	Count int    `json:"count"`
}

// Take asks a node what it is. It is read here: the agent of the node only passes it on.
func Take(ctx context.Context, node api.Evaluator) (s Snapshot, err error) {
	if err = api.Ask(ctx, node, snapshotExprs, snapshotTimeout, &s); err != nil {
		err = fmt.Errorf("cannot take a picture of the node: %w", err)
	}
	return s, err
}
