package agent

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"theseus/agent/erlexec"
	"theseus/agent/family"
	"theseus/rpc"
)

// identity is by what a node is known to others and to the agent: its name, its cookie, where it listens.
type identity struct {
	target rpc.Target
	home   string   // in which the node finds its cookie
	lacks  []string // arguments that the release leaves to the agent
}

// identify works it out from what the release says; cookie is what its family has for one, or nothing.
func identify(c Config, release boot, said erlexec.Args, environ []string, cookie string) (id identity, err error) {
	if err := possible(said); err != nil {
		return id, err
	}
	if id.lacks, id.target, err = distributionOf(said, environ, release.ERTS).reach(c); err != nil {
		return id, err
	}
	if id.target.Node, err = nodeName(said, release); err != nil {
		return id, err
	}
	if name, _ := said.Name(); name == "" {
		id.lacks = append(id.lacks, "-name", id.target.Node)
	}
	id.home, id.target.Cookie, err = nodeHome(c, said, environ, cookie)
	return id, err
}

// possible refuses what leaves the agent without its node.
func possible(said erlexec.Args) error {
	name, _ := said.Name()
	switch {
	case said.Has("-detached"):
		return errors.New("it has -detached, and its node would leave the agent at once")
	case said.First("-dist_listen") == "false":
		return errors.New("it has -dist_listen false, and the agent reaches a node over its distribution alone")
	case name == "" && (said.Has("-name") || said.Has("-sname")):
		return errors.New("it has -name or -sname without a name, and its node would have none")
	case name == "undefined" || strings.HasPrefix(name, "undefined@"):
		return errors.New("its node takes its name from another one (-name undefined): give it one of its own")
	}
	return nil
}

// nodeName is the node's full name. Without a host in -name or -sname, Erlang adds the machine's own, of which a short name
// has no domain and a long one must have one (kernel: net_kernel:create_hostpart/2).
func nodeName(said erlexec.Args, release boot) (string, error) {
	name, short := said.Name()
	switch {
	case name == "":
		return release.Name + "@" + loopback, nil
	case strings.Contains(name, "@"):
		return name, nil
	}
	host, domain, _ := strings.Cut(hostname(), ".")
	switch {
	case short:
		return name + "@" + host, nil
	case domain == "":
		return "", fmt.Errorf("it has -name %s, without a host, and the name of this machine, %s, has no domain: give it -name %s@HOST, or -sname", name, host, name)
	}
	return name + "@" + host + "." + domain, nil
}

func hostname() string {
	host, err := os.Hostname()
	if err != nil {
		return "localhost"
	}
	return host
}

// nodeHome is where the node finds its cookie: the caller's own home where that holds one, else a private directory with the
// one that its family has for it or a new random one. Never on argv, where every user of the container can read it.
func nodeHome(c Config, said erlexec.Args, environ []string, its string) (home, cookie string, err error) {
	home = family.Lookup(environ, "HOME")
	if cookie := said.Cookie(); cookie != "" {
		return cmp.Or(home, "/"), cookie, nil
	}
	cookie = its
	if cookie == "" && home != "" {
		if cookie, err = ownCookie(home, said, environ); cookie != "" || err != nil {
			return home, cookie, err
		}
	}
	if cookie == "" {
		if cookie, err = newCookie(); err != nil {
			return "", "", err
		}
	}
	home = filepath.Join(c.RunDir, "home")
	return home, cookie, writeCookie(home, cookie)
}

// ownCookie is that of the user, if there is one (kernel: auth:read_cookie/0).
func ownCookie(home string, said erlexec.Args, environ []string) (string, error) {
	settings := cmp.Or(said.Env(environ, "XDG_CONFIG_HOME"), filepath.Join(home, ".config"))
	for _, dir := range []string{home, filepath.Join(settings, "erlang")} {
		text, err := os.ReadFile(filepath.Join(dir, ".erlang.cookie"))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return "", fmt.Errorf("cannot read the user's cookie: %w", err)
		}
		return strings.TrimRight(string(text), "\r\n"), nil
	}
	return "", nil
}
