package agent

import (
	"context"
	"errors"
	"fmt"
	"os"

	"theseus/agent/relup"
	"theseus/volume"
)

// derive makes relups for the engine, in an emulator that is thrown away: that of the node stays as it is.
func (a *agent) derive(image volume.Image) func(context.Context, volume.Release, *volume.Staged) (relup.Made, error) {
	return func(ctx context.Context, from volume.Release, to *volume.Staged) (made relup.Made, err error) {
		dir, err := os.MkdirTemp(a.config.RunDir, "relup-")
		if err != nil {
			return made, fmt.Errorf("cannot make room for an emulator: %w", err)
		}
		defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
		return relup.Derive(ctx, a.volume, image, a.init, dir, from, to)
	}
}
