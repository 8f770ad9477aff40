package agent

import (
	"errors"

	"theseus/agent/upgrade"
)

// Starts are what the node that runs was started with, and what a release on the volume would be.
func (k *keeper) Starts(version string) (running, next upgrade.Start, err error) {
	next, err = upgrade.ReadStart(k.volume.ReleaseDir(version), "vm.args")
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.node == nil {
		return running, next, errors.New("no node runs")
	}
	return k.node.start, next, err
}
