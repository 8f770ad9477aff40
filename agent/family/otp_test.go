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
	environ := []string{"PORT=9191", "HOST=h", "URL=http://${HOST}:${PORT}", "EMPTY=", "DOLLAR=$", "QUERY=a&b\\n\"c"}
	for template, want := range map[string]string{
		"[{demo,[{port,${PORT}}]}].":        "[{demo,[{port,9191}]}].\n",
		"${URL}/${PORT}":                    "http://h:9191/9191\n",
		"${NOWHERE:-8080} ${EMPTY:-1}":      "8080 1\n",
		"${PORT:-8080}":                     "9191\n",
		"${NOWHERE:-http://x:1}":            "http://x:1\n",
		"${NOWHERE:-}":                      "\n",
		"${NOWHERE:-${PORT}}":               "9191\n",
		"${HOST:-${PORT}}":                  "h}\n", // the first } ends a variable
		"-name demo@${HOST}\n-setcookie ${": "-name demo@h\n-setcookie ${\n",
		"%% ${\n{a,1}\n":                    "%% ${\n{a,1}\n", // a variable ends in its line
		"$PORT {PORT} $${PORT}":             "$PORT {PORT} $9191\n",
		"${DOLLAR}{PORT}":                   "9191\n",
		"${QUERY}\n\n":                      "a&b\\n\"c\n\n",
		"":                                  "",
	} {
		r := rendering{environ: environ, comment: "%"}
		if got, err := r.render(template); got != want || len(r.unset) > 0 || err != nil {
			t.Errorf("%q is %q, want %q (unset %q, %v)", template, got, want, r.unset, err)
		}
	}
}

func TestAVariableWithoutAValueIsEmptyAndNamed(t *testing.T) {
	r := release(t, map[string]string{"sys.config.src": "[{demo,[{a,\"${B}\"},{b,\"${A}${B}\"}]}].", "vm.args.src": "-name ${C}\n## ${D}"})
	got, err := otp{}.Resolve(context.Background(), r, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := Resolved{
		Files: []File{{"sys.config", []byte(`[{demo,[{a,""},{b,""}]}].` + "\n")}, {"vm.args", []byte("-name \n## \n")}},
		Unset: []string{"A", "B", "C"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestVariablesThatReferToEachOtherAreRefused(t *testing.T) {
	for _, environ := range [][]string{{"A=${B}", "B=${A}"}, {"A=${A}${A}"}} {
		r := rendering{environ: environ, comment: "%"}
		if _, err := r.render("\n${A}"); err == nil || !strings.Contains(err.Error(), "line 2: ${") || !strings.Contains(err.Error(), "leads back to itself") {
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
	r := Release{Name: "demo", Version: "1.0.0", ERTS: "15.2.7", Root: "/vol"}
	got, err := otp{}.Environ(context.Background(), r, []string{"RELEASE_VSN=0.9", "X=1"})
	want := []string{
		"BINDIR=/vol/erts-15.2.7/bin", "EMU=beam", "PROGNAME=erl", "RELEASE_NAME=demo", "RELEASE_ROOT_DIR=/vol", "RELEASE_VSN=1.0.0", "REL_NAME=demo",
		"ROOTDIR=/vol", "X=1",
	}
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
