package agent

import (
	"cmp"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"theseus/agent/erlexec"
	"theseus/agent/family"
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
	reach   family.Node
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
	its := familyRelease(v, release.Release)
	how, err := family.Of(its, family.Host{}).Launch(its, environ)
	if err != nil {
		return launch{}, err
	}
	line := erlexec.Line{OTP: erlexec.OTP(release.ERTS), Args: releaseArgs(v, release, how), Environ: environ, Dir: v.Root()}
	said, err := line.Read()
	if err == nil && how.Name != "" && !said.Has("-sname") && !said.Has("-name") {
		line.Args = append(line.Args, nameFlag(how.Short), how.Name)
		said, err = line.Read()
	}
	if err != nil {
		return launch{}, err
	}
	id, err := identify(c, release, said, environ, how.Cookie)
	if err != nil {
		return launch{}, err
	}
	erts, bindir := v.Path("erts-"+release.ERTS, "bin"), filepath.Join(c.RunDir, "bin")
	if err := heart.Bindir(bindir, erts); err != nil {
		return launch{}, err
	}
	return launch{
		command: signals.Command{
			Path:       filepath.Join(erts, "erlexec"),
			Args:       slices.Concat([]string{"erlexec"}, line.Args, standing(said, how), id.lacks, how.After),
			Env:        nodeEnv(v, environ, bindir, id.home),
			Dir:        v.Root(),
			Stdout:     os.Stdout,
			Stderr:     os.Stderr,
			NofileSoft: c.Nofile,
		},
		target: id.target,
		bindir: bindir,
		reach:  reachOf(c, id, said),
	}, nil
}

func nameFlag(short bool) string {
	if short {
		return "-sname"
	}
	return "-name"
}

// reachOf is how a program of the release reaches the node. Where epmd knows its port, no other does.
func reachOf(c Config, id identity, said erlexec.Args) family.Node {
	_, short := said.Name()
	n := family.Node{Name: id.target.Node, Short: short, Home: id.home}
	if id.target.Epmd == "" {
		var host string
		if host, n.Port, _ = net.SplitHostPort(id.target.Addr); host == "127.0.0.1" {
			n.InetRC = filepath.Join(c.RunDir, "inetrc")
		}
	}
	n.Dist = carrierOf(said)
	return n
}

// carrierOf are the flags by which a node speaks another protocol than TCP, and finds the code for it.
func carrierOf(said erlexec.Args) (flags []string) {
	if !said.Has("-proto_dist") {
		return nil
	}
	for _, flag := range []string{"-proto_dist", "-ssl_dist_optfile", "-ssl_dist_opt", "-pa", "-pz"} {
		for _, values := range said.All(flag) {
			flags = append(append(flags, flag), values...)
		}
	}
	return flags
}

func familyRelease(v *volume.Volume, r volume.Release) family.Release {
	return family.Release{Name: r.Name, Version: r.Version, ERTS: r.ERTS, Root: v.Root(), Dir: v.ReleaseDir(r.Version)}
}

// releaseArgs have erlexec read the release's own files.
func releaseArgs(v *volume.Volume, release boot, how family.Launch) []string {
	dir, lib := v.ReleaseDir(cmp.Or(release.script, release.Version)), v.Path("lib")
	args := append(slices.Clone(how.Before),
		"-noinput", "-boot", filepath.Join(dir, bootFile(dir, how)),
		"-boot_var", "SYSTEM_LIB_DIR", lib, "-boot_var", "ERTS_LIB_DIR", lib, "-boot_var", "RELEASE_LIB", lib,
		"-config", filepath.Join(dir, "sys"),
	)
	if how.VMArgs != "" {
		args = append(args, "-args_file", how.VMArgs)
	}
	return args
}

// standing are the arguments that every node has, unless its release gives them: two -heart do not boot
// (kernel: heart:check_start_heart/0), and of two -mode the first counts.
func standing(said erlexec.Args, how family.Launch) (args []string) {
	for _, arg := range [][]string{{"-mode", how.Mode}, {"-heart"}} {
		if !said.Has(arg[0]) {
			args = append(args, arg...)
		}
	}
	return args
}

// bootFile is the release's, or start where release_handler has made one for a single boot.
func bootFile(dir string, how family.Launch) string {
	if exists(filepath.Join(dir, how.Boot+".boot")) {
		return how.Boot
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
