package volume

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
)

// wholeAll verifies every recorded release, and its kept package.
func (v *Volume) wholeAll() error {
	for version, r := range v.st.Releases {
		if err := v.Verify(version); err != nil {
			return err
		}
		if kept, err := readFile(v.disk, v.packagePath(r.Package)); err != nil || digestOf(kept) != r.Package {
			return fmt.Errorf("the package of %s is not kept: %w", version, err)
		}
	}
	return nil
}

// checkFound holds what is found against what was promised: the state is the one before or behind the write in which the power
// failed, and everything that it records is there.
func (r *run) checkFound(want promise) error {
	got := r.v.st
	switch {
	case got.Generation == want.state.Generation && want.opened && !reflect.DeepEqual(got, want.state):
		return fmt.Errorf("the state is %+v, want %+v", got, want.state)
	case got.Generation != want.state.Generation && got.Generation != want.state.Generation+1:
		return fmt.Errorf("the state is of generation %d, want %d or the next", got.Generation, want.state.Generation)
	}
	if !want.damaged {
		if err := r.v.wholeAll(); err != nil {
			return err
		}
	}
	lines, err := r.v.History(0)
	if err != nil {
		return err
	}
	next := 0
	for _, line := range lines {
		var l struct{ N int }
		if err := json.Unmarshal(line, &l); err != nil {
			return err
		}
		if l.N == next {
			next++
		}
	}
	if next < want.lines {
		return fmt.Errorf("%d lines of history, want %d", next, want.lines)
	}
	return r.checkReports(want.kept)
}

// checkReports wants each report to be one that was kept, whole, and what was kept last to be there.
func (r *run) checkReports(want kept) error {
	for id, kept := range map[string]string{earlierID: want.earlier, laterID: want.later} {
		content, err := r.v.Report(id)
		if err != nil && (kept != "" || !errors.Is(err, ErrNoReport)) {
			return err
		}
		text := string(content)
		if err == nil && text != kept && text != laterReport && (kept != "" || text != earlierReport) {
			return fmt.Errorf("the report of %s is %q, after %q was kept", id, text, kept)
		}
	}
	return nil
}

// checkStarted starts, and looks at what boots and at all that is on the volume then.
func (r *run) checkStarted() error {
	found := r.v.st.Current
	if version, spent := r.v.st.instead(); spent && r.v.st.Operation == nil {
		found = version
	}
	if op := r.v.st.Operation; op != nil && op.Derived && op.Phase == PhaseCommitted {
		r.relups.commit()
	}
	boots, err := r.start()
	switch {
	case err != nil:
		return err
	case found != "" && boots != found:
		return fmt.Errorf("%s boots, the state has %s", boots, found)
	case r.v.st.Releases[boots].Permanent.IsZero():
		return fmt.Errorf("%s boots, and never was permanent", boots)
	}
	if !holds(r.disk, r.v.Path("releases/RELEASES"), []byte(encodeReleases(r.v.st, boots))) ||
		!holds(r.disk, r.v.Path("releases/start_erl.data"), []byte("13.1.5 "+boots)) {
		return errors.New("the records of OTP are not derived")
	}
	for version, release := range r.v.st.Releases {
		if release.Unborn() {
			return fmt.Errorf("%s is recorded, never was permanent, and nobody wants it", version)
		}
	}
	if relup := r.v.Path(relupOf("1.1.0")); r.relups.has != "" && !holds(r.disk, relup, []byte(r.relups.has)) {
		return errors.New("a derived relup is lost")
	}
	if want, got := r.expectedNames(), r.disk.list(); !slices.Equal(want, got) {
		return fmt.Errorf("on the volume is\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	r.remember(call{step: "running"})
	if r.w.random.IntN(8) == 0 {
		return r.checkNextTry(boots)
	}
	return nil
}

// checkNextTry upgrades to something new.
func (r *run) checkNextTry(from string) error {
	r.disk.after = nil
	if err := r.upgrade(from, "9.0.0"); err != nil {
		return fmt.Errorf("the next upgrade: %w", err)
	}
	return r.v.Verify("9.0.0")
}

// expectedNames is all that a volume with this state should hold, and nothing else.
func (r *run) expectedNames() []string {
	v, names := r.v, map[string]bool{}
	add := func(path string) {
		for ; path != "."; path = filepath.Dir(path) {
			names[path] = true
		}
	}
	for _, name := range []string{
		"lib", "log", "releases/RELEASES", "releases/start_erl.data", ".agent/lock", ".agent/state.json", ".agent/history.jsonl",
		".agent/ballast", ".agent/packages", ".agent/stage", ".agent/trash", ".agent/reports",
	} {
		add(name)
	}
	if _, err := v.disk.Lstat(v.olderHistoryPath()); err == nil {
		add(".agent/history.old.jsonl")
	}
	reports, _ := directoryNames(v.disk, v.agentPath("reports"))
	for _, name := range reports {
		if strings.HasSuffix(name, reportSuffix) {
			add(filepath.Join(agentDir, "reports", name))
		}
	}
	if r.relups.has != "" {
		add(relupOf("1.1.0"))
	}
	for version, r := range v.st.Releases {
		manifest, _ := readFile(v.disk, v.Path(releaseDir, version, manifestName))
		entries, _ := decodeManifest(manifest)
		add(filepath.Join(releaseDir, version, manifestName))
		add(filepath.Join(agentDir, "packages", r.Package+".tar.gz"))
		for _, e := range entries {
			add(e.Path)
		}
		for _, p := range r.parts() {
			if !slices.Contains(r.Own, p.dir()) && (v.linked(version) || names[p.dir()]) {
				add(p.dir())
			}
		}
	}
	return sortTree(slices.Collect(maps.Keys(names)))
}

// linked tells whether the release is one that was prepared for a boot.
func (v *Volume) linked(version string) bool { return version == v.st.Current }

// sortTree sorts as a walk through the directories does.
func sortTree(paths []string) []string {
	slices.SortFunc(paths, func(a, b string) int {
		return slices.Compare(strings.Split(a, "/"), strings.Split(b, "/"))
	})
	return paths
}
