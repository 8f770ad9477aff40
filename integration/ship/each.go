package ship

import (
	"testing"

	"theseus/integration/docker"
)

// EachOTP is OnEachOTP for a story that brings images of its own.
func EachOTP(t *testing.T, story func(t *testing.T, otp string)) {
	t.Helper()
	t.Parallel()
	docker.Require(t)
	for _, otp := range Drawn(t.Name(), 1, asked()) {
		t.Run("OTP"+otp, func(t *testing.T) { story(t, otp) })
	}
}
