package main

import (
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
