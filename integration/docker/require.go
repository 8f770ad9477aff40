package docker

import (
	"context"
	"fmt"

	"theseus/integration/need"
)

// Require is for a test that needs a docker engine.
func Require(t need.Test) {
	t.Helper()
	if _, err := Output(context.Background(), "version", "--format", "{{.Server.Version}}"); err != nil {
		need.Missing(t, fmt.Sprintf("docker: %v", err))
	}
}
