package agent

import (
	"cmp"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"theseus/agent/erlexec"
	"theseus/agent/heart"
	"theseus/rpc"
	"theseus/signals"
	"theseus/volume"
)

// launch is how one incarnation of the node is started, and how it is then reached.
type launch struct {
	command signals.Command
	target  rpc.Target
	bindir  string // where the node finds its programs, and its heart the agent
	short   bool   // the node has a short name
}

// boot is a release, and how it is booted.
type boot struct {
	volume.Release
	script string // whose boot file and configuration: empty is the release's own, else what release_handler made for one boot
}

// newLaunch works out the command line of a release on the volume, in the environment that its family has for it. It is
// erlexec itself, because the erl script would overwrite ROOTDIR (erts: erl.src), and release_handler finds everything
// from ROOTDIR: libraries, what a removal deletes, $ROOT in boot scripts.
func newLaunch(c Config, v *volume.Volume, release boot, environ []string) (launch, error) {
	args := releaseArgs(v, release)
	said, err := erlexec.Line{OTP: erlexec.OTP(release.ERTS), Args: args, Environ: environ, Dir: v.Root()}.Read()
	if err != nil {
		return launch{}, err
	}
	id, err := identify(c, release, said, environ)
	if err != nil {
		return launch{}, err
	}
	_, short := said.Name()
	erts, bindir := v.Path("erts-"+release.ERTS, "bin"), filepath.Join(c.RunDir, "bin")
	if err := heart.Bindir(bindir, erts); err != nil {
		return launch{}, err
	}
	return launch{
		command: signals.Command{
			Path:       filepath.Join(erts, "erlexec"),
			Args:       slices.Concat([]string{"erlexec", "-noinput"}, args, standing(said), id.lacks),
			Env:        nodeEnv(v, environ, bindir, id.home),
			Dir:        v.Root(),
			Stdout:     os.Stdout,
			Stderr:     os.Stderr,
			NofileSoft: c.Nofile,
		},
		target: id.target,
		bindir: bindir,
		short:  short,
	}, nil
}

// releaseArgs have erlexec read the release's own files.
func releaseArgs(v *volume.Volume, release boot) []string {
	dir, lib := v.ReleaseDir(cmp.Or(release.script, release.Version)), v.Path("lib")
	args := []string{
		"-boot", filepath.Join(dir, bootFile(dir, release)),
		"-boot_var", "SYSTEM_LIB_DIR", lib, "-boot_var", "ERTS_LIB_DIR", lib, "-boot_var", "RELEASE_LIB", lib,
		"-config", filepath.Join(dir, "sys"),
	}
	if vmArgs := filepath.Join(v.ReleaseDir(release.Version), "vm.args"); exists(vmArgs) {
		args = append(args, "-args_file", vmArgs)
	}
	return args
}

// standing are the arguments that every node has, unless its release gives them: two -heart do not boot
// (kernel: heart:check_start_heart/0), and of two -mode the first counts.
func standing(said erlexec.Args) (args []string) {
	for _, arg := range [][]string{{"-mode", "embedded"}, {"-heart"}} {
		if !said.Has(arg[0]) {
			args = append(args, arg...)
		}
	}
	return args
}

// bootFile is start, or the release's name as older relx has it.
func bootFile(dir string, release boot) string {
	if exists(filepath.Join(dir, release.Name+".boot")) {
		return release.Name
	}
	return "start"
}

// nodeEnv is the release's environment with what erlexec needs.
func nodeEnv(v *volume.Volume, environ []string, bindir, home string) []string {
	set := map[string]string{
		"ROOTDIR": v.Root(), "BINDIR": bindir, "EMU": "beam", "PROGNAME": "erl", "HOME": home,
	}
	defaults := map[string]string{
		"ERL_CRASH_DUMP_SECONDS": "10", "ERL_CRASH_DUMP_BYTES": strconv.Itoa(dumpBytes), "PATH": "/usr/bin:/bin",
	}
	env := slices.DeleteFunc(slices.Clone(environ), func(kv string) bool {
		name, _, _ := strings.Cut(kv, "=")
		_, replaced := set[name]
		delete(defaults, name)
		return replaced
	})
	for name, value := range set {
		env = append(env, name+"="+value)
	}
	for name, value := range defaults {
		env = append(env, name+"="+value)
	}
	slices.Sort(env)
	return env
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
