package agent

import (
	"cmp"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

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

// newLaunch works out the command line of a release on the volume, in the environment that its family has for it. It is erlexec itself, because the erl
// script would overwrite ROOTDIR (erts: erl.src), and release_handler finds everything from ROOTDIR:
// libraries, what a removal deletes, $ROOT in boot scripts.
func newLaunch(c Config, v *volume.Volume, release boot, environ []string) (launch, error) {
	its := familyRelease(v, release.Release)
	how, err := family.Of(its, family.Host{}).Launch(its, environ)
	if err != nil {
		return launch{}, err
	}
	args, err := readVMArgs(how)
	if err != nil {
		return launch{}, err
	}
	args.noteHeart(environ)
	port, err := distPort(c, args)
	if err != nil {
		return launch{}, err
	}
	home, cookie, err := nodeHome(c, args, environ, how.Cookie)
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
			Args:       append([]string{"erlexec"}, nodeArgs(v, release, args, how, port)...),
			Env:        nodeEnv(v, environ, bindir, home),
			Dir:        v.Root(),
			Stdout:     os.Stdout,
			Stderr:     os.Stderr,
			NofileSoft: c.Nofile,
		},
		target: rpc.Target{Node: nodeName(args, release), Addr: net.JoinHostPort("127.0.0.1", port), Cookie: cookie},
		bindir: bindir,
		reach:  family.Node{Name: nodeName(args, release), Short: args.short, Port: port, Home: home, InetRC: filepath.Join(c.RunDir, "inetrc")},
	}, nil
}

func familyRelease(v *volume.Volume, r volume.Release) family.Release {
	return family.Release{Name: r.Name, Version: r.Version, ERTS: r.ERTS, Root: v.Root(), Dir: v.ReleaseDir(r.Version)}
}

// nodeArgs are erlexec's arguments. What vm.args says itself is left to it.
func nodeArgs(v *volume.Volume, release boot, args vmArgs, how family.Launch, port string) []string {
	dir, lib := v.ReleaseDir(cmp.Or(release.script, release.Version)), v.Path("lib")
	list := append(slices.Clone(how.Before),
		"-noinput", "-boot", filepath.Join(dir, bootFile(dir, how)), "-mode", how.Mode,
		"-boot_var", "SYSTEM_LIB_DIR", lib, "-boot_var", "ERTS_LIB_DIR", lib, "-boot_var", "RELEASE_LIB", lib,
		"-config", filepath.Join(dir, "sys"),
	)
	if how.VMArgs != "" {
		list = append(list, "-args_file", how.VMArgs)
	}
	if !args.has("-heart") {
		list = append(list, "-heart")
	}
	switch {
	case args.named:
	case args.short:
		list = append(list, "-sname", args.name)
	default:
		list = append(list, "-name", nodeName(args, release))
	}
	if !args.has("-start_epmd") && !args.has("-erl_epmd_port") {
		list = append(list, "-start_epmd", "false", "-erl_epmd_port", port)
	}
	if !args.has("-kernel inet_dist_use_interface") {
		list = append(list, "-kernel", "inet_dist_use_interface", "{127,0,0,1}")
	}
	return append(list, how.After...)
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

// nodeHome is where the node finds its cookie: a private directory for the one that its release brings, the caller's own home where
// that holds one, else the private directory with a new random cookie. Never on argv, where every user of the container can read it.
func nodeHome(c Config, args vmArgs, environ []string, its string) (home, cookie string, err error) {
	home = family.Lookup(environ, "HOME")
	private := filepath.Join(c.RunDir, "home")
	if its != "" {
		cookie = cmp.Or(args.cookie, its)
		return private, cookie, writeCookie(private, cookie)
	}
	if args.cookie != "" {
		return cmp.Or(home, "/"), args.cookie, nil
	}
	if own, err := os.ReadFile(filepath.Join(home, ".erlang.cookie")); home != "" && err == nil {
		return home, strings.TrimRight(string(own), "\r\n"), nil
	}
	cookie, err = newCookie()
	if err == nil {
		err = writeCookie(private, cookie)
	}
	return private, cookie, err
}

// distPort is where the node will listen: as vm.args says, as configured, or a port that is free now.
func distPort(c Config, args vmArgs) (string, error) {
	if args.distPort != "" {
		return args.distPort, nil
	}
	if c.DistPort != 0 {
		return strconv.Itoa(c.DistPort), nil
	}
	l, err := net.ListenTCP("tcp4", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return "", fmt.Errorf("cannot find a free port for the node's distribution: %w", err)
	}
	defer l.Close()
	return strconv.Itoa(l.Addr().(*net.TCPAddr).Port), nil
}

// nodeName is the node's full name. Without a host in -name or -sname, Erlang adds the host's own name.
func nodeName(args vmArgs, release boot) string {
	switch {
	case args.name == "":
		return release.Name + "@127.0.0.1"
	case strings.Contains(args.name, "@"):
		return args.name
	}
	host := hostname()
	if args.short {
		host, _, _ = strings.Cut(host, ".")
	}
	return args.name + "@" + host
}

func hostname() string {
	host, err := os.Hostname()
	if err != nil {
		return "localhost"
	}
	return host
}

// readVMArgs reads the release's arguments in the order in which the node does. A name that its family has for it counts where
// they give none.
func readVMArgs(how family.Launch) (vmArgs, error) {
	args := vmArgs{flags: map[string]bool{}}
	args.noteAll(how.Before)
	if how.VMArgs != "" {
		content, err := os.ReadFile(how.VMArgs)
		if err != nil {
			return vmArgs{}, fmt.Errorf("cannot read vm.args: %w", err)
		}
		args.noteAll(vmWords(string(content)))
	}
	args.named = args.name != ""
	if !args.named && how.Name != "" {
		args.name, args.short = how.Name, how.Short
	}
	return args, nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
