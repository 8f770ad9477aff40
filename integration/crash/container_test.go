package crash

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"theseus/integration/docker"
	"theseus/integration/images"
	"theseus/integration/program"
	"theseus/integration/ship"
)

// elsewhere is the OTP of a container to be in; empty is the one that is here.
func elsewhere() string {
	otp := os.Getenv("AGENT_TEST_OTP")
	if otp != "" || os.Getenv("AGENT_TEST_KIT") != "" {
		return otp
	}
	for _, tool := range []string{"erl", "rebar3"} {
		if _, err := exec.LookPath(tool); err != nil {
			return strings.Fields(os.Getenv("AGENT_TEST_OTPS") + " 27")[0]
		}
	}
	return ""
}

// inContainer runs the test of this name once more, in a container of another OTP.
func inContainer(t *testing.T, otp string) {
	t.Helper()
	docker.Require(t)
	var progress bytes.Buffer
	set, err := images.Prepare(t.Context(), ship.Open(t), otp, &progress)
	if err != nil {
		t.Fatalf("cannot build the images: %v\n%s", err, progress.String())
	}
	dir := t.TempDir()
	program.Build(t, filepath.Join(dir, "agent"), "theseus/cmd/agent")
	story := exec.CommandContext(t.Context(), "go", "test", "-c", "-o", filepath.Join(dir, "crash.test"), "theseus/integration/crash")
	story.Env = append(os.Environ(), "CGO_ENABLED=0")
	must(t, story)
	must(t, exec.Command("cp", "-a", filepath.Dir(set.Package(images.Seed)), filepath.Join(dir, "packages")))
	words := []string{"run", "--rm", "--cap-add", "SYS_ADMIN", "--cap-add", "SYS_PTRACE", "--cap-add", "NET_ADMIN"}
	words = append(words, "--security-opt", "seccomp=unconfined", "--security-opt", "apparmor=unconfined", "--entrypoint", "/kit/crash.test", "-v", dir+":/kit", "-e", "AGENT_TEST_KIT=/kit")
	for _, name := range []string{"AGENT_TEST_CRASHES", "AGENT_TEST_SEED", "AGENT_TEST_ONLY", "AGENT_TEST_FS"} {
		words = append(words, "-e", name+"="+os.Getenv(name))
	}
	words = append(words, "erlang:"+otp, "-test.v", "-test.timeout=0", "-test.run=^"+t.Name()+"$")
	cmd := exec.CommandContext(t.Context(), "docker", words...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Run(); err != nil {
		t.Error(err)
	}
}
