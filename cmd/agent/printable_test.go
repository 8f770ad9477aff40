package main

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"theseus/agent/api"
)

func TestNobodysTextIsAnOrderToTheTerminalOrALineOfTheAgents(t *testing.T) {
	const forged = "demo\x1b[2J\nagent: 00:00:00.000 all is well \u202e"
	var log, stderr bytes.Buffer
	slog.New(newLineHandler(&log)).Error(forged, "slogan", forged)
	(&cli{stderr: &stderr}).complain(&api.Error{Code: api.CodeInternal, Message: forged})
	for name, text := range map[string]string{"the log": log.String(), "the command": stderr.String()} {
		if strings.Count(text, "\n") != 1 || strings.ContainsAny(text, "\x1b\u202e") {
			t.Errorf("%s says %q", name, text)
		}
	}
	var stdout bytes.Buffer
	(&cli{stdout: &stdout}).tellStatus(api.Status{
		Boot: api.Boot{Reason: forged}, Node: api.Node{Notice: &api.Notice{Status: forged}, Restarts: api.Restarts{Count: 1, Last: forged}},
	})
	if text := stdout.String(); strings.Count(text, "\n") != 7 || strings.ContainsAny(text, "\x1b\u202e") {
		t.Errorf("the status says %q", text)
	}
	if got := attr(slog.String("slogan", "\u009b2J")); got != ` slogan="\u009b2J"` {
		t.Errorf("an attribute is %q", got)
	}
}
