package family

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestATemplateIsFilledInAsRelxDoes(t *testing.T) {
	environ := []string{"PORT=9191", "HOST=h", "URL=http://${HOST}:${PORT}", "EMPTY="}
	for template, want := range map[string]string{
		"[{demo,[{port,${PORT}}]}].":        "[{demo,[{port,9191}]}].",
		"${URL}/${PORT}":                    "http://h:9191/9191",
		"${NOWHERE:-8080} ${EMPTY:-1}":      "8080 1",
		"${PORT:-8080}":                     "9191",
		"${NOWHERE:-http://x:1}":            "http://x:1",
		"-name demo@${HOST}\n-setcookie ${": "-name demo@h\n-setcookie ${",
		"$PORT {PORT} $${PORT}":             "$PORT {PORT} $9191",
	} {
		if got, unset, err := render(template, environ); got != want || len(unset) > 0 || err != nil {
			t.Errorf("%q is %q, want %q (unset %q, %v)", template, got, want, unset, err)
		}
	}
}

func TestAVariableWithoutAValueIsEmptyAndNamed(t *testing.T) {
	r := release(t, map[string]string{"sys.config.src": "[{demo,[{a,\"${B}\"},{b,\"${A}${B}\"}]}].", "vm.args.src": "-name ${C}"})
	got, err := otp{}.Resolve(context.Background(), r, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := Resolved{
		Files: []File{{"sys.config", []byte(`[{demo,[{a,""},{b,""}]}].`)}, {"vm.args", []byte("-name ")}},
		Unset: []string{"A", "B", "C"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestVariablesThatReferToEachOtherAreRefused(t *testing.T) {
	for _, environ := range [][]string{{"A=${B}", "B=${A}"}, {"A=${A}${A}"}} {
		if _, _, err := render("${A}", environ); err == nil || !strings.Contains(err.Error(), "in a circle") {
			t.Errorf("%q: %v", environ, err)
		}
	}
}

func TestWhatIsNoTemplateStaysAsItIs(t *testing.T) {
	r := release(t, map[string]string{"sys.config": "[{demo,[{port,${PORT}}]}]."})
	if got, err := (otp{}).Resolve(context.Background(), r, []string{"PORT=1"}); err != nil || len(got.Files) > 0 {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestANodeOfARelxReleaseHasItsVariables(t *testing.T) {
	r := Release{Name: "demo", Version: "1.0.0", Root: "/vol"}
	got, err := otp{}.Environ(context.Background(), r, []string{"RELEASE_VSN=0.9", "X=1"})
	want := []string{"RELEASE_NAME=demo", "RELEASE_ROOT_DIR=/vol", "RELEASE_VSN=1.0.0", "REL_NAME=demo", "X=1"}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Error(diff, err)
	}
}

// release has a directory with these files.
func release(t *testing.T, files map[string]string) Release {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return Release{Name: "demo", Version: "1.0.0", Dir: dir}
}
