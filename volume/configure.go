package volume

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// configFiles are those of a release that may be made for a boot.
var configFiles = []string{"sys.config", "vm.args"}

// Configured is a file of a release's directory that no package brought: its configuration with everything filled in.
type Configured struct {
	Name    string // "sys.config" or "vm.args"
	Content []byte
}

// Configure puts a release's resolved configuration to where release_handler looks for it, and nowhere else
// (release_handler:install_release/2 reads releases/<version>/sys.config). Like the records of OTP the files are derived:
// no MANIFEST names them, and they are written anew before each boot and each installation. They may hold what is secret in
// the environment, so only the owner can read them. What a package brought is never replaced, but left as it is.
func (v *Volume) Configure(version string, files []Configured) error {
	v.work.Lock()
	defer v.work.Unlock()
	if _, err := v.known(version); err != nil {
		return fmt.Errorf("cannot configure %s: %w", version, err)
	}
	brought, err := v.brought(version)
	if err != nil {
		return fmt.Errorf("cannot configure %s: %w", version, err)
	}
	for _, f := range files {
		name := path.Join(releaseDir, version, f.Name)
		if !slices.Contains(configFiles, f.Name) {
			return fmt.Errorf("cannot configure %s: %s is no configuration", version, name)
		}
		if _, its := find(brought, name); its {
			continue
		}
		if err := v.derive("derive the configuration", v.Path(name), f.Content, 0o600); err != nil {
			return fmt.Errorf("cannot configure %s: cannot write %s: %w", version, name, v.spaceError(err))
		}
	}
	return nil
}

// PlaceCommand makes bin/<name> an executable script. Like the records of OTP it is derived, and written anew for each boot.
func (v *Volume) PlaceCommand(name string, script []byte) error {
	v.work.Lock()
	defer v.work.Unlock()
	if path.Base(name) != name || strings.HasPrefix(name, ".") {
		return fmt.Errorf("cannot place a command: %q is no name of one", name)
	}
	err := v.step("derive a command").makeDir(v.Path(binDir), 0o755)
	if err == nil {
		err = v.derive("derive a command", v.Path(binDir, name), script, 0o755)
	}
	if err != nil {
		return fmt.Errorf("cannot write %s/%s: %w", binDir, name, v.spaceError(err))
	}
	return nil
}

// BringsConfig names those of a release's configuration files that its package has brought as they are, beside whatever template.
func (v *Volume) BringsConfig(version string) (names []string, err error) {
	brought, err := v.brought(version)
	if err != nil {
		return nil, fmt.Errorf("cannot read what the package of %s has brought: %w", version, err)
	}
	for _, name := range configFiles {
		if _, its := find(brought, path.Join(releaseDir, version, name)); its {
			names = append(names, name)
		}
	}
	return names, nil
}

// brought is what the release's package put on the volume, by its MANIFEST; Verify is who compares it.
func (v *Volume) brought(version string) ([]entry, error) {
	text, err := v.readManifest(version)
	if err != nil {
		return nil, err
	}
	return decodeManifest(text)
}

// CheckConfig makes sure that a text is a sys.config that can be read (kernel: config(4)). The error continues a sentence
// that names the file.
func CheckConfig(text []byte) error { return parseConfig(text) }
