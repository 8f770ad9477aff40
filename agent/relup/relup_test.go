package relup

import (
	"log/slog"
	"os"
	"testing"

	"theseus/agent"
	"theseus/signals"
)

func TestByHand(t *testing.T) {
	init, err := signals.New(slog.New(slog.NewTextHandler(t.Output(), nil)))
	if err != nil {
		t.Fatal(err)
	}
	image, err := agent.DetectImage()
	if err != nil {
		t.Fatal(err)
	}
	made, err := Packages(t.Context(), t.TempDir(), image, init.Start, [2]string{os.Getenv("OLD"), os.Getenv("NEW")})
	t.Logf("%s\n%v\n%v\n%v", made.Relup, made.Derived, made.Warnings, err)
}
