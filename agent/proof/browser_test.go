package proof

import (
	"bytes"
	"encoding/json"
	"image"
	"image/color"
	"image/png"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"theseus/agent/api"
	"theseus/integration/need"
)

// browse has a browser without a window open the page of a report.
func browse(t *testing.T, r api.Report, flags ...string) []byte {
	t.Helper()
	browser := need.Tool(t, "chromium")
	dir := t.TempDir()
	path := filepath.Join(dir, "report.html")
	if err := os.WriteFile(path, []byte(written(t, r)), 0o600); err != nil {
		t.Fatal(err)
	}
	args := append([]string{"--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--user-data-dir=" + dir}, flags...)
	cmd := exec.CommandContext(t.Context(), browser, append(args, "file://"+path)...)
	cmd.Dir = dir
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, complaints.String())
	}
	return out
}

// TestABrowserFindsInAPageWhatWeWrote, and has run nothing of it.
func TestABrowserFindsInAPageWhatWeWrote(t *testing.T) {
	t.Parallel()
	isOurs(t, parse(t, string(browse(t, evil(), "--dump-dom"))))
}

// TestABrowserDrawsThePageOfAReport of an upgrade whose code_change crashed. AGENT_TEST_PICTURE names a file for the picture.
func TestABrowserDrawsThePageOfAReport(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("testdata/crashed.json")
	if err != nil {
		t.Fatal(err)
	}
	var r api.Report
	if err := json.Unmarshal(text, &r); err != nil {
		t.Fatal(err)
	}
	shot := filepath.Join(t.TempDir(), "page.png")
	browse(t, r, "--hide-scrollbars", "--screenshot="+shot, "--window-size=1100,2100")
	drawn, err := os.ReadFile(shot)
	if err != nil {
		t.Fatal(err)
	}
	picture, err := png.Decode(bytes.NewReader(drawn))
	if err != nil {
		t.Fatal(err)
	}
	for what, bar := range map[string]color.RGBA{"a step": {0x2f, 0x6f, 0x9f, 0xff}, "what happened beside it": {0xb3, 0x5c, 0x1e, 0xff}} {
		if n := pixels(picture, bar); n < 10 {
			t.Errorf("the bar of %s has %d pixels", what, n)
		}
	}
	if path := os.Getenv("AGENT_TEST_PICTURE"); path != "" {
		if err := os.WriteFile(path, drawn, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// pixels counts those of a colour.
func pixels(picture image.Image, want color.RGBA) (n int) {
	for y := range picture.Bounds().Dy() {
		for x := range picture.Bounds().Dx() {
			if color.RGBAModel.Convert(picture.At(x, y)) == color.Color(want) {
				n++
			}
		}
	}
	return n
}
