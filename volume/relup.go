package volume

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"

	"theseus/rpc/term"
)

// Relup is a release's relup file: how to get to it and back (sasl: relup(4)).
type Relup struct {
	To       string
	Up, Down []RelupEdge
}

// RelupEdge is the way from (Up) or to (Down) another version.
type RelupEdge struct {
	Version      string
	Descr        string
	Instructions []term.Term // low-level, as systools:make_relup/3 writes them
}

// NeedsEmulatorRestart tells whether the node ends on this way, and with it all its state.
func (e RelupEdge) NeedsEmulatorRestart() bool {
	for _, instruction := range e.Instructions {
		if instruction == term.Atom("restart_emulator") || instruction == term.Atom("restart_new_emulator") {
			return true
		}
	}
	return false
}

// ParseRelup reads {"To", [{"From", Descr, Instructions}], [{"From", Descr, Instructions}]}.
func ParseRelup(text []byte) (*Relup, error) {
	t, err := onlyTerm(text)
	if err != nil {
		return nil, err
	}
	tuple, ok := t.(term.Tuple)
	if !ok || len(tuple) != 3 {
		return nil, errors.New("it is not {Version, Up, Down}")
	}
	to, ok := term.AsString(tuple[0])
	if !ok {
		return nil, errors.New("its version is not a string")
	}
	r := &Relup{To: to}
	if r.Up, err = parseEdges(tuple[1]); err != nil {
		return nil, fmt.Errorf("up: %w", err)
	}
	if r.Down, err = parseEdges(tuple[2]); err != nil {
		return nil, fmt.Errorf("down: %w", err)
	}
	return r, nil
}

func parseEdges(t term.Term) ([]RelupEdge, error) {
	list, ok := t.(term.List)
	if !ok {
		return nil, errors.New("it is not a list")
	}
	var edges []RelupEdge
	for _, item := range list {
		tuple, ok := item.(term.Tuple)
		if !ok || len(tuple) != 3 {
			return nil, errors.New("an element is not {Version, Descr, Instructions}")
		}
		version, isText := term.AsString(tuple[0])
		instructions, isList := tuple[2].(term.List)
		if !isText || !isList {
			return nil, errors.New("an element is not {Version, Descr, Instructions}")
		}
		if slices.ContainsFunc(instructions, isNoInstruction) {
			return nil, errors.New("an instruction is neither a tuple nor an atom")
		}
		descr, isText := term.AsString(tuple[1])
		if !isText {
			descr = term.Format(tuple[1])
		}
		edges = append(edges, RelupEdge{Version: version, Descr: descr, Instructions: instructions})
	}
	return edges, nil
}

func isNoInstruction(t term.Term) bool {
	switch t.(type) {
	case term.Tuple, term.Atom:
		return false
	}
	return true
}

// Relup reads the relup of a published release; nil when it has none.
func (v *Volume) Relup(version string) (*Relup, error) {
	if _, err := v.known(version); err != nil {
		return nil, err
	}
	return readRelup(v.disk, v.ReleaseDir(version), v.Limits.TextBytes)
}

func readRelup(d disk, dir string, limit int64) (*Relup, error) {
	text, err := readText(d, filepath.Join(dir, "relup"), limit)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	r, err := ParseRelup(text)
	if err != nil {
		return nil, refuse(BadRelup, "the relup of %s cannot be read: %w", filepath.Base(dir), err)
	}
	return r, nil
}

// readText reads a file of terms, unless it is larger than such files are.
func readText(d disk, path string, limit int64) ([]byte, error) {
	info, err := d.Lstat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, refuse(UnsafeEntry, "%s is no file", filepath.Base(path))
	}
	if info.Size() > limit {
		return nil, refuse(TooLarge, "%s is larger than %d bytes", filepath.Base(path), limit)
	}
	return readFile(d, path)
}

// onlyTerm is what file:consult/1 must find: {ok, [Term]}.
func onlyTerm(text []byte) (term.Term, error) {
	terms, err := term.Parse(text)
	if err != nil {
		return nil, err
	}
	if len(terms) != 1 {
		return nil, fmt.Errorf("it holds %d terms, not one", len(terms))
	}
	return terms[0], nil
}
