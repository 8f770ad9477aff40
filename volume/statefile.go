package volume

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
)

// stateFile is state.json: the checksum is that of the state's bytes as they stand in the file.
type stateFile struct {
	SHA256 string          `json:"sha256"`
	State  json.RawMessage `json:"state"`
}

func (v *Volume) statePath() string { return v.agentPath("state.json") }

func (v *Volume) writeState(s State) error {
	content, err := encodeState(s)
	if err != nil {
		return err
	}
	return v.withRoom(func() error { return v.step("record the state").replaceFile(v.statePath(), content, 0o600) })
}

func encodeState(s State) ([]byte, error) {
	state, err := json.Marshal(s)
	if err != nil {
		return nil, err
	}
	return fmt.Appendf(nil, "{\"sha256\":%q,\"state\":%s}\n", digestOf(state), state), nil
}

func decodeState(content []byte) (State, error) {
	var file stateFile
	var s State
	if err := json.Unmarshal(content, &file); err != nil {
		return s, fmt.Errorf("%w: %w", ErrDamagedState, err)
	}
	if file.SHA256 != digestOf(file.State) {
		return s, fmt.Errorf("%w: its checksum does not match", ErrDamagedState)
	}
	var written struct{ Schema int }
	if err := json.Unmarshal(file.State, &written); err != nil {
		return s, fmt.Errorf("%w: %w", ErrDamagedState, err)
	}
	if written.Schema > schema {
		return s, fmt.Errorf("%w: its schema is %d, this agent knows %d", ErrNewerState, written.Schema, schema)
	}
	decoder := json.NewDecoder(bytes.NewReader(file.State))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&s); err != nil {
		return s, fmt.Errorf("%w: %w", ErrDamagedState, err)
	}
	if s.Releases == nil || s.Failed == nil {
		return s, fmt.Errorf("%w: it is incomplete", ErrDamagedState)
	}
	return s, s.check()
}

// check makes sure that what stands for a file is the name of one: what is below the root may be moved and deleted. The
// checksum finds what is damaged, not who wrote it.
func (s State) check() error {
	var names []string
	optional := append([]string{s.Current, s.Previous, s.Left}, s.Via...)
	if s.Operation != nil {
		optional = append(append(optional, s.Operation.From, s.Operation.To), s.Operation.Via...)
	}
	for version, r := range s.Releases {
		if version != r.Version {
			return fmt.Errorf("%w: it has the release %q as %q", ErrDamagedState, r.Version, version)
		}
		names, optional = append(names, version, r.Name, r.ERTS), append(optional, r.Package)
		for _, lib := range r.Libs {
			names = append(names, lib.App, lib.Version)
		}
		for _, tree := range r.Own {
			name, inLib := strings.CutPrefix(tree, libDir+"/")
			if !inLib && !strings.HasPrefix(tree, ertsPrefix) {
				return fmt.Errorf("%w: %q is no application and no ERTS", ErrDamagedState, tree)
			}
			names = append(names, name)
		}
	}
	names = append(names, slices.DeleteFunc(optional, func(name string) bool { return name == "" })...)
	for _, name := range names {
		if !isFileName(name) {
			return fmt.Errorf("%w: %q is no name of a file", ErrDamagedState, name)
		}
	}
	return nil
}

func digestOf(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])
}

// loadState reads state.json. Where there is none the volume must be empty: releases without their state are
// never taken for nothing, and never adopted unasked.
func (v *Volume) loadState() error {
	content, err := readOwn(v.disk, v.statePath())
	if errors.Is(err, fs.ErrNotExist) {
		return v.firstState()
	}
	if err != nil {
		return err
	}
	v.st, err = decodeState(content)
	if err != nil {
		return fmt.Errorf("cannot read %s: %w", v.statePath(), err)
	}
	return nil
}

func (v *Volume) firstState() error {
	trees, err := v.trees()
	if err != nil {
		return err
	}
	if len(trees) > 0 {
		return fmt.Errorf("%w (%s)", ErrForeign, trees[0])
	}
	v.st = State{Schema: 1, Releases: map[string]Release{}, Failed: map[string]Failure{}}
	return v.writeState(v.st)
}
