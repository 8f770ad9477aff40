// Package host asks plugins, by way of agent-plugin, a program of its own that speaks their protocol. It is a child that is ended
// with all that it has started: nothing of a plugin is in PID 1 but one line that it reads, and what nobody asks costs nothing.
package host

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"theseus/agent/printable"
	"theseus/signals"
)

// Name is the program's, which lies beside agent.
const Name = "agent-plugin"

const maxAnswer = 16 << 10 // bytes

// Kinds of plugins.
const (
	Gate   = "gate"
	Source = "source"
)

// Program is a plugin.
type Program struct {
	Path   string `json:"path"`
	SHA256 string `json:"sha256"`          // of its file, in hex
	Plain  bool   `json:"plain,omitempty"` // it cannot speak TLS; then its socket must be in a directory that is the agent's alone
}

// Order is what agent-plugin reads from its standard input.
type Order struct {
	Kind     string            `json:"kind"`
	Program  Program           `json:"program"`
	Config   map[string]string `json:"config,omitempty"` // the plugin's own
	Question *Question         `json:"question,omitempty"`
	// Reference names the package that a source is to fetch. It is written to standard output.
	Reference string `json:"reference,omitempty"`
}

// Question is what a gate is asked.
type Question struct {
	Gate    string `json:"gate"`
	When    string `json:"when"`
	Upgrade string `json:"upgrade,omitempty"` // its id
	Release string `json:"release,omitempty"` // its name
	From    string `json:"from,omitempty"`
	To      string `json:"to,omitempty"`
}

// Answer is the line that agent-plugin prints for a gate.
type Answer struct {
	OK      bool   `json:"ok"`
	Reason  string `json:"reason,omitempty"`  // why not
	Version int    `json:"version,omitempty"` // of the protocol
}

// Host is how plugins are asked.
type Host struct {
	Path    string // of agent-plugin
	Init    *signals.Init
	Env     []string // of the plugins
	Scratch string   // a directory that is the caller's alone, for their sockets
}

// Beside is where agent-plugin lies: beside the program that runs.
func Beside() string {
	own, err := os.Executable()
	if err != nil {
		return Name
	}
	return filepath.Join(filepath.Dir(own), Name)
}

// Ask puts a question to a gate. The error says that there is no answer.
func (h Host) Ask(ctx context.Context, order Order) (answer Answer, err error) {
	order.Kind = Gate
	var text []byte
	var exit signals.Exit
	err = h.with(order, func(cmd signals.Command) (err error) {
		text, exit, err = h.Init.Output(ctx, cmd, maxAnswer)
		return err
	})
	if err != nil {
		return answer, err
	}
	if unread := json.Unmarshal(bytes.TrimSpace(text), &answer); unread != nil {
		return Answer{}, fmt.Errorf("%s said nothing that can be read: %s", Name, exit)
	}
	return answer, nil
}

// Fetch has a source write a package. What was written before an error is none.
func (h Host) Fetch(ctx context.Context, order Order, to io.Writer) error {
	order.Kind = Source
	return h.with(order, func(cmd signals.Command) error {
		complaint, err := os.CreateTemp(cmd.Dir, "complaint-")
		if err != nil {
			return err
		}
		defer complaint.Close()
		cmd.Stderr = complaint
		exit, err := h.Init.Stream(ctx, cmd, to)
		if err != nil || exit.Status() == 0 {
			return err
		}
		text := make([]byte, maxAnswer)
		n, _ := complaint.ReadAt(text, 0)
		if n == 0 {
			return fmt.Errorf("%s ended with %s", Name, exit)
		}
		return errors.New(printable.Line(string(text[:n])))
	})
}

// with makes the command for an order, and takes away behind it what its plugin left in the directory.
func (h Host) with(order Order, run func(signals.Command) error) (err error) {
	dir, err := os.MkdirTemp(h.Scratch, "plugin-")
	if err != nil {
		return fmt.Errorf("cannot make room for its socket: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	stdin, err := order.file()
	if err != nil {
		return err
	}
	defer stdin.Close()
	env := slices.DeleteFunc(slices.Clone(h.Env), func(kv string) bool { return strings.HasPrefix(kv, "TMPDIR=") }) // of two the first counts
	err = run(signals.Command{Path: h.Path, Env: append(env, "TMPDIR="+dir), Dir: dir, Stdin: stdin})
	if errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("%s, which asks plugins, is not at %s", Name, h.Path)
	}
	return err
}

// file has the order in memory: a command line can be read by others, and it may hold secrets.
func (o Order) file() (*os.File, error) {
	fd, err := unix.MemfdCreate("order", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("cannot write an order in memory: %w", err)
	}
	file := os.NewFile(uintptr(fd), "order")
	err = json.NewEncoder(file).Encode(o)
	if err == nil {
		_, err = file.Seek(0, 0)
	}
	if err != nil {
		file.Close()
		return nil, fmt.Errorf("cannot write an order in memory: %w", err)
	}
	return file, nil
}
