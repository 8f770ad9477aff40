package main

import (
	"os"
	"strings"
	"testing"
)

func TestEveryVerbHasAnExampleAndItsExitStatus(t *testing.T) {
	for _, verb := range (&cli{}).command().Commands() {
		if !strings.Contains(verb.Long, "\nEXIT STATUS\n") {
			t.Errorf("the help of %s has no EXIT STATUS", verb.Name())
		}
		if !strings.Contains(verb.Long, "\n  ") || !strings.Contains(verb.Long, "agent") {
			t.Errorf("the help of %s has no example", verb.Name())
		}
		if verb.Short == "" || strings.HasSuffix(verb.Short, ".") {
			t.Errorf("%s is %q in a line", verb.Name(), verb.Short)
		}
	}
}

func TestTheManualShowsTheScriptThatIsTested(t *testing.T) {
	script, err := os.ReadFile("../../docs/postinst")
	if err != nil {
		t.Fatal(err)
	}
	manual, err := os.ReadFile("../../docs/sources.md")
	if err != nil {
		t.Fatal(err)
	}
	_, body, found := strings.Cut(string(script), "set -e\n\n")
	if !found || !strings.Contains(string(manual), "```sh\n"+body+"```\n") {
		t.Error("docs/sources.md has another script than docs/postinst")
	}
}
