package agent

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// withTemplate is a keeper of demo 1.0.0, whose package has a sys.config.src, in this environment.
func withTemplate(t *testing.T, template string, environ ...string) kept {
	t.Helper()
	k := keep(t, map[string]string{"1.0.0": waits})
	files := demo("1.1.0", waits)
	delete(files, "releases/1.1.0/sys.config")
	files["releases/1.1.0/sys.config.src"] = template
	publish(t, k.volume, files)
	k.environ = environ
	return k
}

// sysConfig is that of 1.1.0.
func (k kept) sysConfig() string {
	content, _ := os.ReadFile(filepath.Join(k.volume.ReleaseDir("1.1.0"), "sys.config")) // empty: it is not there
	return string(content)
}

func TestATemplateIsFilledInWithTheNodesEnvironment(t *testing.T) {
	k := withTemplate(t, "[{demo,[{port,${PORT}},{vsn,\"${RELEASE_VSN}\"}]}].", "PORT=9191", "RELEASE_VSN=poison")
	environ, err := k.configure(t.Context(), "1.1.0")
	if err != nil || !slices.Contains(environ, "RELEASE_VSN=1.1.0") {
		t.Fatal(environ, err)
	}
	if got, want := k.sysConfig(), "[{demo,[{port,9191},{vsn,\"1.1.0\"}]}].\n"; got != want {
		t.Errorf("sys.config is %q, want %q", got, want)
	}
}

func TestATemplateThatDoesNotParseNamesWhatHadNoValue(t *testing.T) {
	k := withTemplate(t, "[{demo,[{port,${PORT}}]}].")
	err := k.Configure(t.Context(), "1.1.0")
	for _, words := range []string{"its sys.config, filled in, cannot be read", "PORT had no value in the node's environment"} {
		if err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("%v does not say %q", err, words)
		}
	}
	if got := k.sysConfig(); got != "" {
		t.Errorf("sys.config is %q", got)
	}
}

func TestALaunchFillsItIn(t *testing.T) {
	k := withTemplate(t, "[{demo,[{host,\"${DEMO_HOST}\"}]}].", "DEMO_HOST=h", "PATH=/usr/bin:/bin")
	ctx, stop := context.WithCancel(t.Context())
	go func() {
		k.runs("1.1.0")
		stop()
	}()
	k.run(ctx, "1.1.0")
	if got := k.sysConfig(); got != "[{demo,[{host,\"h\"}]}].\n" {
		t.Errorf("sys.config is %q", got)
	}
}

func TestAConfigurationThatDoesNotParseIsNotShown(t *testing.T) {
	for template, words := range map[string]string{
		"[\n{demo,[{password,\"${PASSWORD}\"}]}].": "cannot be read: line 2",
		"[{demo,[]},{password,\"hunter2\",more}].": "is no list of {Application, Parameters}",
	} {
		t.Run(words, func(t *testing.T) {
			err := withTemplate(t, template, `PASSWORD=hun"ter2`).Configure(t.Context(), "1.1.0")
			if err == nil || !strings.Contains(err.Error(), words) || strings.Contains(err.Error(), "ter2") {
				t.Errorf("got %v, want %q", err, words)
			}
		})
	}
}

func TestATemplateBesideItsFileIsLeftAlone(t *testing.T) {
	k := keep(t, map[string]string{"1.0.0": waits})
	files := demo("1.1.0", waits)
	files["releases/1.1.0/sys.config.src"] = "[{demo,[{built,${BUILD_TIME_ONLY}}]}]."
	publish(t, k.volume, files)
	if err := k.Configure(t.Context(), "1.1.0"); err != nil || k.sysConfig() != "[]." {
		t.Errorf("%v, and sys.config is %q", err, k.sysConfig())
	}
}
