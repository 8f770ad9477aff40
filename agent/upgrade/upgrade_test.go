package upgrade

import (
	"testing"

	"theseus/agent/api"
)

// upgrades are from 1.0.0 to 1.1.0.
var upgrades = []story{
	{"", "probation: committed, 1.1.0 runs"},
}

func playUpgrade(t *testing.T, script string) *stage {
	s := newStage(t, script, demo("1.0.0", ""))
	s.upgrade(demo("1.1.0", "1.0.0"), api.UpgradeRequest{})
	return s
}

func TestUpgrades(t *testing.T) {
	tellAll(t, upgrades, playUpgrade)
}
