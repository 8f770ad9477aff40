package emulator

import (
	"crypto/rand"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"theseus/integration/need"
)

// OTP is which of the images the tests' nodes are in: AGENT_TEST_OTP, or none where they are the host's own.
func OTP() string {
	if otp := os.Getenv("AGENT_TEST_OTP"); otp != "host" {
		return otp
	}
	return ""
}

// Program is one of OTP's, such as erl.
type Program struct {
	Name string
	Home string
	Env  []string // beside HOME and, on the host, our own
	Args []string
}

// Command runs it on the host, or in a container that shares our network, our processes and TMPDIR.
func (p Program) Command(t testing.TB) *exec.Cmd {
	t.Helper()
	env := append(p.Env[:len(p.Env):len(p.Env)], "HOME="+p.Home)
	if OTP() == "" {
		has(t, "erl")
		cmd := exec.Command(p.Name, p.Args...) //nolint:noctx // End ends it
		cmd.Env = append(os.Environ(), env...)
		return cmd
	}
	has(t, "docker")
	docker := []string{"run", "--rm", "--name", "node-" + strings.ToLower(rand.Text()), "--network", "host", "--pid", "host", "-v", os.TempDir() + ":" + os.TempDir()}
	for _, v := range env {
		docker = append(docker, "-e", v)
	}
	docker = append(docker, "erlang:"+OTP(), p.Name)
	return exec.Command("docker", append(docker, p.Args...)...) //nolint:noctx // likewise
}

func has(t testing.TB, tool string) {
	t.Helper()
	if _, err := exec.LookPath(tool); err != nil {
		need.Missing(t, tool)
	}
}

const killAgain = 200 * time.Millisecond

// End kills what Command has made, until it has exited.
func End(cmd *exec.Cmd, exited <-chan struct{}) {
	if cmd.Args[0] != "docker" {
		_ = cmd.Process.Kill()
		<-exited
		return
	}
	// Again until it helps: the container may not exist yet.
	for again := time.NewTicker(killAgain); ; {
		_ = exec.Command("docker", "kill", cmd.Args[4]).Run() //nolint:noctx // its name
		select {
		case <-exited:
			again.Stop()
			return
		case <-again.C:
		}
	}
}
