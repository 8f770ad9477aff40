package volume

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
)

// Remove forgets a release and deletes what no other one needs. It refuses the current release, the one
// where a rollback leads, and the target or origin of an operation. A crash after the record was written leaves debris that
// Recover collects.
func (v *Volume) Remove(version string) error {
	v.work.Lock()
	defer v.work.Unlock()
	r, err := v.known(version)
	if err != nil {
		return fmt.Errorf("cannot remove it: %w", err)
	}
	err = v.update(func(s *State) error {
		if why := s.keeps(version); why != "" {
			return fmt.Errorf("it is %s", why)
		}
		s.forget(version)
		if !r.Permanent.IsZero() {
			s.rememberRemoved(r.Package)
		}
		return nil
	})
	if err == nil {
		_, left := v.collect()
		err = errors.Join(left, v.dropPackage(r.Package))
	}
	v.layBallast()
	if err != nil {
		return fmt.Errorf("cannot remove %s: %w", r.title(), err)
	}
	return nil
}

// forget takes a release out of the state. What led to it, or over it, leads nowhere any more.
func (s *State) forget(version string) {
	delete(s.Releases, version)
	if version == s.Previous {
		s.Previous, s.Via = "", nil
	}
	if version == s.Left {
		s.Left = ""
	}
}

// keeps tells why a version must stay; "" when nothing speaks for it.
func (s State) keeps(version string) string {
	switch {
	case version == s.Current:
		return "the release that boots"
	case version == s.RollbackTarget():
		return "where a rollback leads"
	case s.OnTheWayBack(version):
		return "on the way of a rollback"
	case s.Operation != nil && (version == s.Operation.To || version == s.Operation.From || slices.Contains(s.Operation.Via, version)):
		return "part of the " + s.Operation.Kind + " under way"
	}
	return ""
}

// collect deletes the trees that no recorded release needs, trash first, and lists them. One that cannot be moved,
// because another user made it, keeps no other one.
func (v *Volume) collect() ([]string, error) {
	if err := v.assertState(); err != nil {
		return nil, err
	}
	needed := map[string]bool{}
	for _, r := range v.State().Releases {
		for _, tree := range r.needs() {
			needed[tree] = true
		}
	}
	trees, err := v.trees()
	if err != nil {
		return nil, err
	}
	var collected []string
	var errs []error
	for _, tree := range trees {
		if needed[tree] {
			continue
		}
		if err := v.discardTree(v.Path(tree)); err != nil {
			errs = append(errs, err)
			continue
		}
		collected = append(collected, tree)
	}
	return collected, errors.Join(append(errs, v.emptyTrash())...)
}

// Recover takes away what a crash left half done: stages, trash, packages that were not received completely
// or lead to no release, releases that were given up before they ever booted, and trees that belong to none. Each line
// of the report is one thing that was found. What can be done is done, whatever else fails. What to boot is not decided
// here. It waits for a Receive and a Repair that are under way, and must not run beside a Stage.
func (v *Volume) Recover() (report []string, err error) {
	v.coming.Lock()
	defer v.coming.Unlock()
	v.work.Lock()
	defer v.work.Unlock()
	var errs []error
	for _, step := range []func() ([]string, error){v.forgetUnborn, v.dropStages, v.collect, v.dropPackages, v.dropTemporaries} {
		found, err := step()
		errs = append(errs, err)
		for _, name := range found {
			report = append(report, "removed "+name+", which belongs to no release")
		}
	}
	v.layBallast()
	if err := errors.Join(errs...); err != nil {
		return report, fmt.Errorf("cannot recover the volume: %w", err)
	}
	return report, nil
}

// forgetUnborn forgets releases that never were permanent and to which nothing leads any more: their upgrade was over, and
// the agent ended before it could remove them. Their trees are collected.
func (v *Volume) forgetUnborn() ([]string, error) {
	var unborn []string
	s := v.State()
	for version, r := range s.Releases {
		if r.Unborn() && s.keeps(version) == "" {
			unborn = append(unborn, version)
		}
	}
	if len(unborn) == 0 {
		return nil, nil
	}
	return nil, v.update(func(s *State) error {
		for _, version := range unborn {
			s.forget(version)
		}
		return nil
	})
}

func (v *Volume) dropStages() ([]string, error) {
	names, err := directoryNames(v.disk, v.agentPath("stage"))
	if err != nil {
		return nil, err
	}
	for n, name := range names {
		names[n] = filepath.Join(agentDir, "stage", name)
	}
	return names, v.step("drop the stages").emptyDir(v.agentPath("stage"))
}

func (v *Volume) dropPackages() ([]string, error) {
	used := map[string]bool{}
	for _, r := range v.State().Releases {
		used[filepath.Base(v.packagePath(r.Package))] = true
	}
	names, err := directoryNames(v.disk, v.agentPath("packages"))
	if err != nil {
		return nil, err
	}
	var dropped []string
	for _, name := range names {
		if used[name] {
			continue
		}
		if err := v.disk.RemoveAll("drop the package", v.agentPath("packages", name)); err != nil {
			return dropped, err
		}
		dropped = append(dropped, filepath.Join(agentDir, "packages", name))
	}
	return dropped, nil
}

// dropTemporaries deletes what an interrupted replaceFile left, and not what the state is being written to. Nobody needs to
// hear of it.
func (v *Volume) dropTemporaries() ([]string, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, dir := range []string{v.root, v.agentPath(), v.agentPath("reports"), v.Path(releaseDir), v.Path(libDir)} {
		names, err := directoryNames(v.disk, dir)
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			if !strings.HasPrefix(name, ".") || !strings.HasSuffix(name, temporarySuffix) {
				continue
			}
			if err := v.disk.Remove("drop a temporary file", filepath.Join(dir, name)); err != nil {
				return nil, err
			}
		}
	}
	return nil, nil
}
