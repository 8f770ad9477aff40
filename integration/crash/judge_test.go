package crash

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"theseus/agent/api"
	"theseus/volume"
)

// record is what a volume has durable knowledge of.
type record struct {
	volume.State
	history []byte
}

// readRecord reads what an agent would believe. Without a state it is empty.
func readRecord(root string) (record, error) {
	var file struct{ State volume.State }
	var r record
	text, err := os.ReadFile(filepath.Join(root, ".agent", "state.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return r, nil
	}
	if err == nil {
		err = json.Unmarshal(text, &file)
	}
	if err != nil {
		return r, fmt.Errorf("the state is unreadable: %w", err)
	}
	r.State = file.State
	r.history, err = os.ReadFile(filepath.Join(root, ".agent", "history.jsonl"))
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	r.history = r.history[:bytes.LastIndexByte(r.history, '\n')+1]
	return r, err
}

// keeps tells what of a record is lost in a later one; what only an operation kept, and what the operation may remove, may be.
func (r record) keeps(later record, removable []string) error {
	for version, release := range r.Releases {
		if _, there := later.Releases[version]; !there && !release.Unborn() && !slices.Contains(removable, version) {
			return fmt.Errorf("release %s is lost", version)
		}
	}
	for _, seed := range r.Seeds {
		if !slices.Contains(later.Seeds, seed) {
			return fmt.Errorf("the seed %s is forgotten", seed)
		}
	}
	if !bytes.HasPrefix(later.history, r.history) {
		return fmt.Errorf("history is lost: was\n%s\nis\n%s", r.history, later.history)
	}
	return nil
}

// settled looks at a volume on which nothing is under way: whole releases, and no other name. What was spare may be missing.
// An agent that lives notes that its release has run well when that is so: what it is about to write, it is let write.
func (l *life) settled(spare ...string) error {
	for deadline := time.Now().Add(patience); ; {
		r, err := readRecord(l.volume)
		if err == nil {
			err = complete(l.volume, r, spare)
		}
		if err == nil || l.over() || !l.writes(r) || time.Now().After(deadline) {
			return err
		}
		if _, err := l.must("status"); err != nil { // all of it stands still while nobody waits for something
			return err
		}
	}
}

// writes says that the agent was stopped while it wrote its state, or has written it since.
func (l *life) writes(before record) bool {
	_, err := os.Lstat(filepath.Join(l.volume, ".agent", ".state.json.tmp"))
	after, unreadable := readRecord(l.volume)
	return err == nil || unreadable != nil || after.Generation != before.Generation
}

// complete holds a volume against what is recorded of it.
func complete(root string, r record, spare []string) error {
	if r.Operation != nil {
		return fmt.Errorf("an operation is left: %+v", *r.Operation)
	}
	want := map[string]bool{}
	for _, name := range []string{
		"lib", "log", "releases/RELEASES", "releases/start_erl.data", ".agent/lock", ".agent/state.json", ".agent/history.jsonl",
		".agent/ballast", ".agent/packages", ".agent/stage", ".agent/trash",
	} {
		expect(want, name)
	}
	if err := reports(root, want); err != nil {
		return err
	}
	for version, release := range r.Releases {
		if release.Unborn() {
			return fmt.Errorf("%s is recorded, never was permanent, and nobody wants it", version)
		}
		if err := whole(root, release, want); err != nil {
			return fmt.Errorf("release %s: %w", version, err)
		}
	}
	return onlyNames(root, want, spare)
}

// reports are those of attempts, each whole: they are for people, and none has to be there.
func reports(root string, names map[string]bool) error {
	files, err := filepath.Glob(filepath.Join(root, ".agent", "reports", "*.json"))
	if err != nil {
		return err
	}
	expect(names, ".agent/reports")
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		if !json.Valid(text) {
			return fmt.Errorf("the report %s is not whole", filepath.Base(file))
		}
		expect(names, ".agent/reports/"+filepath.Base(file))
	}
	return nil
}

func expect(names map[string]bool, path string) {
	for ; path != "."; path = filepath.Dir(path) {
		names[path] = true
	}
}

// whole holds a release against its MANIFEST, and notes what belongs to it.
func whole(root string, r volume.Release, names map[string]bool) error {
	manifest := "releases/" + r.Version + "/MANIFEST"
	text, err := os.ReadFile(filepath.Join(root, manifest))
	if err != nil {
		return err
	}
	pkg := ".agent/packages/" + r.Package + ".tar.gz"
	expect(names, manifest)
	expect(names, pkg)
	if err := errors.Join(same(root, manifest, r.Manifest), same(root, pkg, r.Package)); err != nil {
		return err
	}
	for line := range strings.Lines(string(text)) {
		var mode, size int64
		var sum, path string
		if _, err := fmt.Sscanf(line, "%o %d %s %q", &mode, &size, &sum, &path); err != nil {
			return fmt.Errorf("%s has the line %q: %w", manifest, line, err)
		}
		expect(names, path)
		if err := same(root, path, sum); err != nil {
			return err
		}
	}
	for _, lib := range r.Libs {
		expect(names, "lib/"+lib.App+"-"+lib.Version)
	}
	expect(names, "erts-"+r.ERTS)
	return nil
}

func same(root, path, sum string) error {
	content, err := os.ReadFile(filepath.Join(root, path))
	if got := sha256.Sum256(content); err == nil && hex.EncodeToString(got[:]) != sum {
		err = fmt.Errorf("%s has other content", path)
	}
	return err
}

// onlyNames wants these names on the volume and no others.
func onlyNames(root string, want map[string]bool, spare []string) error {
	got := map[string]bool{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		name, _ := filepath.Rel(root, path)
		switch {
		case err != nil || name == ".":
			return err
		case name == "lost+found":
			return fs.SkipDir
		case strings.HasPrefix(name, "log/erl_crash-"): // of a node whose agent was killed alone
			return nil
		}
		got[name] = true
		return nil
	})
	var wrong []string
	for _, name := range slices.Sorted(maps.Keys(got)) {
		if !want[name] {
			wrong = append(wrong, "+"+name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if !got[name] && !slices.Contains(spare, name) {
			wrong = append(wrong, "-"+name)
		}
	}
	if err == nil && wrong != nil {
		err = fmt.Errorf("names on the volume: %s", strings.Join(wrong, " "))
	}
	return err
}

// runs asks agent, node and service what runs, which all have to know as the volume has it.
func (l *life) runs() (string, error) {
	r, err := readRecord(l.volume)
	if err != nil {
		return "", err
	}
	text, err := l.must("status", "--json")
	if err != nil {
		return "", err
	}
	var status api.Status
	if err := json.Unmarshal([]byte(text), &status); err != nil {
		return "", err
	}
	known, err := l.must("rpc", "release_handler", "which_releases", "[permanent]")
	if err != nil {
		return "", err
	}
	serves, err := l.cell.serves()
	if err != nil {
		return "", fmt.Errorf("the service does not answer: %w\n%s", err, l.text())
	}
	v := serves
	if status.Release.Version != v || status.Volume.Current != v || r.Current != v || status.Upgrade != nil || !strings.Contains(known, `"demo","`+v+`"`) {
		return v, fmt.Errorf("%s serves; the volume has %s, release_handler %s, the status is %s", v, r.Current, known, text)
	}
	return v, nil
}
