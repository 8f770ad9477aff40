// Package pairs is a corpus: pairs of small releases, each with one mistake that a team makes, or with a feature that is no
// mistake, and what each tool has to say of it. They are in integration/testdata/pairs, one a file.
package pairs

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/rogpeppe/go-internal/txtar"

	"theseus/integration/images"
)

// Tool looks at a pair.
type Tool string

// The tools. What is expected of each stands in a line of the pair that begins with its name.
const (
	Plan     Tool = "plan"     // the verdict of agent plan beside the node, and the codes of its reasons and warnings
	Upgrade  Tool = "upgrade"  // how agent upgrade ends, and with which code
	Drift    Tool = "drift"    // the kinds of difference of agent verify --running, before and after the upgrade
	Rehearse Tool = "rehearse" // how agent rehearse --quick ends, and what it finds
	Rollback Tool = "rollback" // how agent rollback ends after that
	Derived  Tool = "derived"  // how agent rehearse --quick --derived ends where the package has lost its relup, and what it finds
)

var tools = []Tool{Plan, Upgrade, Drift, Rollback, Rehearse, Derived}

// Pair is a release and the next one.
type Pair struct {
	Name  string
	Story string
	About string // what each tool that finds something has to name
	// Says are the words that each tool has to say. One without a line has nothing to say.
	Says map[Tool][]string
	// Live is evaluated in the older release before anything else: what is only true of a node in service.
	Live string
	// Shows is evaluated in the release that runs in the end: it is true where the mistake can be seen, or the feature works.
	Shows string
	// Back is the same after a rollback.
	Back string
	// Probe is evaluated by a rehearsal: its value has to be that of a node that has booted the release.
	Probe string

	files []txtar.File
}

// Clean says that it is none of a mistake.
func (p Pair) Clean() bool { return strings.HasPrefix(p.Name, "clean-") }

// All are the pairs in the order of their names.
func All() ([]Pair, error) {
	root, err := images.Root()
	if err != nil {
		return nil, err
	}
	testdata := filepath.Join(root, "integration", "testdata")
	shop, err := txtar.ParseFile(filepath.Join(testdata, "shop.txtar"))
	if err != nil {
		return nil, fmt.Errorf("cannot read the release of the pairs: %w", err)
	}
	names, err := filepath.Glob(filepath.Join(testdata, "pairs", "*.txtar"))
	if err != nil {
		return nil, err
	}
	var all []Pair
	for _, name := range names {
		p, err := read(name, shop.Files)
		if err != nil {
			return nil, fmt.Errorf("cannot read the pair %s: %w", name, err)
		}
		all = append(all, p)
	}
	return all, nil
}

func read(path string, shop []txtar.File) (Pair, error) {
	archive, err := txtar.ParseFile(path)
	if err != nil {
		return Pair{}, err
	}
	p := Pair{Name: strings.TrimSuffix(filepath.Base(path), ".txtar"), Says: map[Tool][]string{}, files: slices.Clone(shop)}
	p.comment(string(archive.Comment))
	for _, f := range archive.Files {
		switch f.Name {
		case "live":
			p.Live = string(f.Data)
		case "shows":
			p.Shows = string(f.Data)
		case "back":
			p.Back = string(f.Data)
		case "probe":
			p.Probe = string(f.Data)
		default:
			p.files = append(p.files, f)
		}
	}
	if p.Story == "" || len(p.Says[Upgrade]) == 0 {
		return p, fmt.Errorf("it has no story, or does not say what becomes of an upgrade")
	}
	return p, nil
}

// comment reads the story, and below it a line for each tool.
func (p *Pair) comment(text string) {
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		switch {
		case len(words) == 2 && words[0] == "about":
			p.About = words[1]
		case len(words) > 1 && slices.Contains(tools, Tool(words[0])):
			p.Says[Tool(words[0])] = words[1:]
		default:
			p.Story = strings.TrimSpace(p.Story + " " + strings.Join(words, " "))
		}
	}
}

// sources writes what the two releases are made of into dir/old and dir/new. A file that stands further behind counts, one
// without a text is taken away.
func (p Pair) sources(dir string) error {
	for _, side := range []string{"old", "new"} {
		for _, f := range p.files {
			name, of := f.Name, side
			if first, rest, _ := strings.Cut(f.Name, "/"); first == "old" || first == "new" {
				name, of = rest, first
			}
			if of != side {
				continue
			}
			if err := lay(filepath.Join(dir, side, name), f.Data); err != nil {
				return err
			}
		}
	}
	return nil
}

func lay(path string, text []byte) error {
	if len(text) == 0 {
		return os.Remove(path)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, text, 0o644)
}
