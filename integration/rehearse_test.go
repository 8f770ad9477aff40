package integration_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"theseus/agent/rehearse"
	"theseus/integration/docker"
	"theseus/integration/images"
	"theseus/integration/mixdemo"
	"theseus/integration/repack"
	"theseus/integration/ship"
)

// TestTheExampleOfACIRehearsesTheDemo runs the shell code of docs/ci.md as it stands there, but for the names of the images.
func TestTheExampleOfACIRehearsesTheDemo(t *testing.T) {
	ship.OnEachOTP(t, func(t *testing.T, set *images.Set) {
		dir := t.TempDir()
		if out, err := exec.Command("sh", "-c", `cd "$(go env GOMOD | xargs dirname)" && git ls-files -z --cached --others --exclude-standard |
			tar -c --null --ignore-failed-read -T - | tar -x -C "$0"`, dir).CombinedOutput(); err != nil {
			t.Fatalf("cannot copy the sources: %v\n%s", err, out)
		}
		text, err := os.ReadFile(filepath.Join(dir, "docs", "ci.md"))
		if err != nil {
			t.Fatal(err)
		}
		for _, block := range strings.Split(string(text), "```sh\n")[1:3] {
			code, _, _ := strings.Cut(block, "```")
			example := exec.CommandContext(t.Context(), "sh", "-eu")
			example.Dir, example.Stdin = dir, strings.NewReader(exampleOf(set).Replace(code))
			if out, err := example.CombinedOutput(); err != nil {
				report, _ := os.ReadFile(filepath.Join(dir, "reports", "rehearsal.xml"))
				t.Fatalf("%s%v\n%s\n%s", code, err, report, out)
			}
		}
		report, err := os.ReadFile(filepath.Join(dir, "reports", "rehearsal.xml"))
		if err != nil {
			t.Fatal(err)
		}
		for _, part := range []string{`failures="0" errors="0" skipped="0"`, `name="kill-node at install.begun"`, `name="kill-container at upgrade.committed"`} {
			if !strings.Contains(string(report), part) {
				t.Errorf("the report has no %s:\n%s", part, report)
			}
		}
	})
}

// exampleOf are the names that it has here; nor does it wait as long as production does.
func exampleOf(set *images.Set) *strings.Replacer {
	packages := strings.TrimSuffix(set.Image, ":"+set.OTP) + "-packages:" + set.OTP
	return strings.NewReplacer(
		"-t demo .", "--build-arg OTP="+set.OTP+" -t "+set.Image+" .",
		"-t demo-packages", "--build-arg OTP="+set.OTP+" -t "+packages,
		"create demo-packages", "create "+packages,
		`:/mnt:ro" demo `, `:/mnt:ro" -e AGENT_SETTLE=100ms `+set.Image+" ",
	)
}

// TestARehearsalNamesWhatIsWrongWithARelup: nobody starts the new child on the way there, nor deletes it on the way back.
func TestARehearsalNamesWhatIsWrongWithARelup(t *testing.T) {
	ship.OnEachOTP(t, func(t *testing.T, set *images.Set) {
		forgetful := func(name string, content []byte) (string, []byte) {
			if strings.HasSuffix(name, "/relup") {
				content = []byte(strings.NewReplacer(
					"{apply,{supervisor,restart_child,[demo_sup,demo_stats]}},", "", "{apply,{supervisor,delete_child,[demo_sup,demo_stats]}},", "",
				).Replace(string(content)))
			}
			return name, content
		}
		out, err := rehearsed(t, set.Image, set.Package(images.Seed), set.Package(images.Second), forgetful, "--json")
		var report rehearse.Report
		if broken := json.Unmarshal(out, &report); broken != nil {
			t.Fatalf("%v: %v\n%s", err, broken, out)
		}
		found := map[string]string{}
		for _, a := range report.Acts {
			for _, f := range a.Findings {
				if f.Subject == "demo/demo_stats" {
					found[a.Name] += f.Kind
				}
			}
		}
		if err == nil || err.Error() != "exit status 3" || found["upgrade"] != "child-differs" || found["rollback"] != "child-extra" {
			t.Errorf("%v, found %v\n%s", err, found, out)
		}
	})
}

// TestARehearsalOfMixFindsItsProtocolsConsolidated: an upgrade adds an implementation, and nothing of a relup knows of that. After it, and on
// the way back, the node is as a fresh boot.
func TestARehearsalOfMixFindsItsProtocolsConsolidated(t *testing.T) {
	ship.EachOTP(t, func(t *testing.T, otp string) {
		set := mixSet(t, otp)
		stock := func(version string) string { return set.Package(mixdemo.Stock, version) }
		if out, err := rehearsed(t, set.Image(mixdemo.Stock), stock(mixdemo.Seed), stock(mixdemo.Second), repack.Keep); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
	})
}

// rehearsed is what a rehearsal in a container says of a package and of a later one that was edited.
func rehearsed(t *testing.T, image, seed, later string, edit repack.Edit, flags ...string) ([]byte, error) {
	t.Helper()
	dir := t.TempDir()
	err := repack.File(seed, filepath.Join(dir, "old.tar.gz"), repack.Keep)
	if err == nil {
		err = repack.File(later, filepath.Join(dir, "new.tar.gz"), edit)
	}
	if err == nil {
		err = os.Chmod(dir, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	args := slices.Concat([]string{"run", "--rm"}, docker.Hardened(), []string{
		"-v", dir + ":/mnt:ro", "--tmpfs", "/stage:exec,mode=1777", image, // a release may bring programs
		"agent", "rehearse", "--quick", "--dir", "/stage", "--settle", "100ms", "/mnt/old.tar.gz", "/mnt/new.tar.gz",
	}, flags)
	return exec.CommandContext(t.Context(), "docker", args...).Output()
}
