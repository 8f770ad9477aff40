package agent

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"theseus/agent/heart"
	"theseus/signals"
)

// setCommand is what release_handler has the heart say before it reboots the node.
const setCommand = "\x00\x22\x04start releases/new_start_erl.data"

func TestWhatReleaseHandlerPreparedIsBootedOnceAndOnlyWhereItIsExpected(t *testing.T) {
	reboot := ending{word: heart.Closed}
	for about, c := range map[string]struct {
		data    string
		end     ending
		command string
		expect  string
		boots   string
		script  string
	}{
		"restart_emulator":              {"1 1.1.0", reboot, setCommand, "1.1.0", "1.1.0", "1.1.0"},
		"restart_new_emulator":          {"1 __new_emulator__1.0.0", reboot, setCommand, "1.1.0", "1.1.0", "__new_emulator__1.0.0"},
		"nobody expects it":             {"1 1.1.0", reboot, setCommand, "", "1.0.0", ""},
		"the heart was not told":        {"1 1.1.0", reboot, "\x00\x01\x02", "1.1.0", "1.0.0", ""},
		"the node crashed first":        {"1 1.1.0", ending{word: heart.Crashing}, setCommand, "1.1.0", "1.0.0", ""},
		"the node failed":               {"1 1.1.0", ending{word: heart.Closed, exit: signals.Exit{Code: 1}}, setCommand, "1.1.0", "1.0.0", ""},
		"the node was stopped":          {"1 1.1.0", ending{word: heart.Stopped}, setCommand, "1.1.0", "1.0.0", ""},
		"another ERTS":                  {"2 1.1.0", reboot, setCommand, "1.1.0", "1.0.0", ""},
		"another release":               {"1 9.9.9", reboot, setCommand, "1.1.0", "1.0.0", ""},
		"a path":                        {"1 ../../elsewhere", reboot, setCommand, "1.1.0", "1.0.0", ""},
		"the hybrid of another release": {"1 __new_emulator__0.9.0", reboot, setCommand, "1.1.0", "1.0.0", ""},
		"a file that is cut off":        {"1", reboot, setCommand, "1.1.0", "1.0.0", ""},
		"an empty file":                 {"", reboot, setCommand, "1.1.0", "1.0.0", ""},
	} {
		t.Run(about, func(t *testing.T) {
			k, node, says := beating(t, waits)
			beats := node.heart.Beats()
			says(c.command)
			until(t, "the heart is heard", func() bool { return node.heart.Beats() > beats })
			k.Protect("1.0.0")
			k.Expect(c.expect)
			path := k.volume.Path("releases", "new_start_erl.data")
			write(t, path, c.data)
			next := k.follow(t.Context(), node, c.end)
			if next.version != c.boots || next.script != c.script {
				t.Errorf("%s is booted as %q", next.version, next.script)
			}
			if next.script != "" && exists(path) {
				t.Error("it could be booted once more")
			}
		})
	}
}

func TestATrialBootsWithTheRecordsOfOTPAndNoOtherBootDoes(t *testing.T) {
	k := keep(t, map[string]string{"1.0.0": waits, "1.1.0": waits})
	hybrid := k.volume.Path("releases", "__new_emulator__1.0.0")
	if err := os.Mkdir(hybrid, 0o755); err != nil {
		t.Fatal(err)
	}
	records := k.volume.Path("releases", "RELEASES")
	otp := []byte(`[{release,"demo","1.1.0","1",[],tmp_current}].`)
	if err := os.WriteFile(records, otp, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		boots ruling
		kept  bool
		next  string // is expected once more
	}{
		{ruling{version: "1.1.0", script: filepath.Base(hybrid)}, true, "1.1.0"},
		{ruling{version: "1.1.0", script: "1.1.0"}, true, ""},
		{ruling{version: "1.0.0"}, false, ""},
	} {
		k.Expect("1.1.0")
		node, err := k.launch(t.Context(), c.boots)
		if err != nil {
			t.Fatal(err)
		}
		defer node.heart.Close()
		defer k.end(node)
		found, err := os.ReadFile(records)
		if got := bytes.Equal(found, otp); err != nil || got != c.kept || exists(hybrid) != c.kept {
			t.Errorf("%+v: the records of OTP are kept: %v, %v", c.boots, got, err)
		}
		if k.expect != c.next {
			t.Errorf("%+v: %q is expected to follow, not %q", c.boots, k.expect, c.next)
		}
	}
}
