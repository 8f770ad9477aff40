package agent

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"theseus/agent/erlexec"
	"theseus/agent/upgrade"
)

// Starts are what the node that runs was started with, and what a release on the volume would be.
func (k *keeper) Starts(version string) (running, next upgrade.Start, err error) {
	next, err = readStart(k.volume.ReleaseDir(version))
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.node == nil {
		return running, next, errors.New("no node runs")
	}
	return k.node.start, next, err
}

// readStart reads them where the boot does. The release that was booted may have left the volume when it is asked for.
func readStart(dir string) (upgrade.Start, error) {
	args, err := readFileIfThere(filepath.Join(dir, "vm.args"))
	if err != nil {
		return upgrade.Start{}, fmt.Errorf("cannot read vm.args: %w", err)
	}
	env, err := readFileIfThere(filepath.Join(dir, "env.sh"))
	if err != nil {
		return upgrade.Start{}, fmt.Errorf("cannot read env.sh: %w", err)
	}
	return upgrade.Start{Args: erlexec.Words(args), Env: env}, nil
}

func readFileIfThere(path string) (string, error) {
	content, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return "", nil
	}
	return string(content), err
}
