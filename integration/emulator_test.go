package integration_test

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"

	"theseus/integration/docker"
	"theseus/integration/images"
	"theseus/integration/repack"
	"theseus/integration/ship"
)

// The ends of the demo's relup, up and down.
const (
	endUp   = "{resume,[demo_session]}]}],"
	endDown = "{purge,[demo_stats]}]}]}."
)

// restartsAt puts restart_emulator behind the last instruction of one way.
func restartsAt(end, relup string) string {
	return strings.Replace(relup, end, strings.Replace(end, "]}]", "]},restart_emulator]", 1), 1)
}

// restarting makes a relup restart the emulator, up and down.
func restarting(relup string) string { return restartsAt(endUp, restartsAt(endDown, relup)) }

// leavesNothing fails the story where something of a restart of the emulator is left.
func leavesNothing(s *ship.Ship) {
	s.T.Helper()
	left, err := s.Output(s.T.Context(), "sh", "-c", "cd /var/lib/release/releases && ls -d *new_* ; cat RELEASES start_erl.data; true")
	s.Must(err)
	if strings.Contains(left, "new_") || strings.Contains(left, "tmp_current") {
		s.T.Errorf("there is\n%s", left)
	}
}

func TestARelupThatRestartsTheEmulatorNeedsLeaveAndRunsToItsEnd(t *testing.T) {
	ship.OnEachOTP(t, func(t *testing.T, set *images.Set) {
		s := ship.Launch(t, set)
		pkg := s.RelupWith(restarting)
		if a := s.Ends(s.Upgrade(pkg), 5); !strings.Contains(a.Stderr, "agent upgrade --restart") {
			t.Errorf("it says %s", a.Stderr)
		}
		s.Serves(images.Seed)
		before := s.Status().Node.PID
		s.Ends(s.Upgrade(pkg, "--restart"), 0)
		s.Serves(images.Second)
		if s.Status().Node.PID == before {
			t.Error("the node was not restarted")
		}
		if text := s.Logs(t.Context()); !strings.Contains(text, "its upgrade restarts the emulator, so 1.1.0 is booted on trial") {
			t.Errorf("the log says\n%s", text)
		}
		if got := s.RPC("release_handler", "which_releases", "[permanent]"); !strings.Contains(got, `"1.1.0"`) {
			t.Errorf("release_handler has %s", got)
		}
		leavesNothing(s)
		s.Must(s.Restart(t.Context(), ship.Grace))
		s.Serves(images.Second)
		s.Ends(s.Agent(nil, "rollback"), 5)
		s.Ends(s.Agent(nil, "rollback", "--restart"), 0)
		s.Serves(images.Seed)
		leavesNothing(s)
	})
}

func TestATrialThatDoesNotGoWellEndsInTheOldRelease(t *testing.T) {
	ship.OnEachOTP(t, func(t *testing.T, set *images.Set) {
		s := ship.Launch(t, set)
		good := s.RelupWith(restarting)
		bad, err := repack.Bytes(good, func(name string, content []byte) (string, []byte) {
			if strings.HasSuffix(name, "1.1.0/sys.config") {
				content = []byte("[{demo,[{http_port,bad}]}].\n")
			}
			return name, content
		})
		s.Must(err)
		upgraded := make(chan ship.Answer)
		go func() { upgraded <- s.Upgrade(good, "--restart", "--settle", "1h") }()
		s.AwaitEvent("node.restarted")
		s.KillNode()
		s.Ends(<-upgraded, 4)
		s.Serves(images.Seed)
		leavesNothing(s)

		if a := s.Ends(s.Upgrade(bad, "--restart"), 4); !strings.Contains(a.Stderr, "demo 1.0.0 runs again") {
			t.Errorf("it says %s", a.Stderr)
		}
		s.Serves(images.Seed)
		leavesNothing(s)
	})
}

func TestAContainerThatDiesInATrialBootsTheOldRelease(t *testing.T) {
	ship.OnEachOTP(t, func(t *testing.T, set *images.Set) {
		s := ship.Launch(t, set)
		good := s.RelupWith(restarting)
		go s.Exec(t.Context(), docker.Exec{Args: []string{"agent", "upgrade", "--restart", "--settle", "1h", "-"}, Stdin: bytes.NewReader(good)})
		s.AwaitEvent("node.restarted")
		s.Must(s.Kill(t.Context(), "KILL"))
		_, err := s.Wait(t.Context())
		s.Must(err)
		s.Must(s.Start(t.Context()))
		s.Serves(images.Seed)
		s.Tells("upgrade.reverted")
		leavesNothing(s)
	})
}

// oldest is an OTP whose ERTS runs in the images of the later ones.
const oldest = "25"

// TestAnUpgradeToANewERTSGoesOverTheHybridRelease: the seed brings the ERTS of an older OTP, and the package runs on the
// image's. release_handler boots the new ERTS with the old applications first (restart_new_emulator).
func TestAnUpgradeToANewERTSGoesOverTheHybridRelease(t *testing.T) {
	ship.OnEachOTPBut(t, oldest, func(t *testing.T, set *images.Set) {
		s := ship.Build(t, set)
		seed := fullPackage(s)
		s.Replace(s.ImageOf("full", seed))
		s.Serves(images.Seed)
		old := s.RPC("erlang", "system_info", "[version]")

		pkg := overERTS(s, seed)
		s.Ends(s.Upgrade(pkg), 5)
		s.Ends(s.Upgrade(pkg, "--restart"), 0)
		s.Serves(images.Second)
		if now := s.RPC("erlang", "system_info", "[version]"); now == old {
			t.Errorf("the ERTS is still %s", now)
		}
		if text := s.Logs(t.Context()); !strings.Contains(text, "completed after node restart") {
			t.Errorf("release_handler did not go on in the new emulator:\n%s", text)
		}
		leavesNothing(s)
		s.Must(s.Restart(t.Context(), ship.Grace))
		s.Serves(images.Second)
		s.Ends(s.Agent(nil, "rollback", "--restart"), 0)
		s.Serves(images.Seed)
		if now := s.RPC("erlang", "system_info", "[version]"); now != old {
			t.Errorf("the ERTS is %s, not %s again", now, old)
		}
		leavesNothing(s)
	})
}

// fullPackage is the demo's first release with the runtime of the oldest OTP.
func fullPackage(s *ship.Ship) []byte {
	s.T.Helper()
	root, err := images.Root()
	s.Must(err)
	var progress bytes.Buffer
	if err := images.Bases(s.T.Context(), root, oldest, &progress); err != nil {
		s.T.Fatalf("%v\n%s", err, progress.String())
	}
	out := s.T.TempDir()
	build := exec.CommandContext(s.T.Context(), "docker", "run", "--rm", "-e", "FULL=1", "-v", filepath.Join(root, "integration", "demo")+":/src:ro",
		"-v", out+":/out", "erlang:"+oldest, "/src/build.sh", "/out")
	if text, err := build.CombinedOutput(); err != nil {
		s.T.Fatalf("cannot build the full package: %v\n%s", err, text)
	}
	pkg, err := os.ReadFile(filepath.Join(out, "demo-"+images.Seed+".tar.gz"))
	s.Must(err)
	return pkg
}

// overERTS is 1.1.0 with a relup as systools makes it between two versions of ERTS. What the relup does not change is
// in both releases the same, as the seed has it: another compiler has made other files of it.
func overERTS(s *ship.Ship, seed []byte) []byte {
	s.T.Helper()
	before, after := contents(s, seed), contents(s, s.Package(images.Second))
	relup := string(after["releases/"+images.Second+"/relup"])
	pkg, err := repack.Bytes(s.Package(images.Second), func(name string, content []byte) (string, []byte) {
		old, shared := before[strings.Replace(name, "lib/demo-"+images.Second, "lib/demo-"+images.Seed, 1)]
		module := strings.TrimSuffix(path.Base(name), ".beam")
		switch {
		case strings.HasSuffix(name, "/relup"):
			return name, []byte(restartsAt(endDown, strings.Replace(relup, "[{load_object_code", "[restart_new_emulator,{load_object_code", 1)))
		case shared && strings.HasSuffix(name, ".beam") && !strings.Contains(relup, "{load,{"+module+","), shared && strings.HasPrefix(name, "lib/demo_codec"):
			return name, old
		}
		return name, content
	})
	s.Must(err)
	return pkg
}

// contents are the files of a package.
func contents(s *ship.Ship, pkg []byte) map[string][]byte {
	s.T.Helper()
	unpacked, err := gzip.NewReader(bytes.NewReader(pkg))
	s.Must(err)
	files := map[string][]byte{}
	for archive := tar.NewReader(unpacked); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		s.Must(err)
		files[header.Name], err = io.ReadAll(archive)
		s.Must(err)
	}
}
