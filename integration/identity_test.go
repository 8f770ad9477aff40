package integration_test

import (
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"theseus/integration/docker"
	"theseus/integration/images"
	"theseus/integration/repack"
	"theseus/integration/ship"
)

// configured is a package of the demo service with these files of its release: the configuration, in the place of what is
// there, or a template for it, NAME.src, and what else they name.
func configured(s *ship.Ship, version string, files map[string]string) []byte {
	s.T.Helper()
	dir := "releases/" + version + "/"
	var more []repack.Member
	for name, text := range files {
		if plain := strings.TrimSuffix(name, ".src"); plain != "vm.args" && plain != "sys.config" {
			more = append(more, repack.Member{Name: dir + name, Content: []byte(text)})
		}
	}
	pkg, err := repack.Bytes(s.Package(version), func(name string, content []byte) (string, []byte) {
		for _, as := range []string{path.Base(name), path.Base(name) + ".src"} {
			if text, is := files[as]; is && path.Clean(name) == dir+path.Base(name) {
				return dir + as, []byte(text)
			}
		}
		return name, content
	}, more...)
	s.Must(err)
	return pkg
}

// goesOn has the service upgraded and taken back in service, its node killed, and its container restarted.
func goesOn(s *ship.Ship, second []byte) {
	s.T.Helper()
	s.Ends(s.Upgrade(second), 0)
	s.Serves(images.Second)
	s.Ends(s.Agent(nil, "rollback"), 0)
	s.Serves(images.Seed)
	before := s.Status().Node.PID
	s.KillNode()
	s.Must(s.Await(s.T.Context(), "another node", ship.Patience, another(s, before)))
	s.Serves(images.Seed)
	s.Ends(s.Upgrade(second), 0)
	s.Must(s.Restart(s.T.Context(), ship.Grace))
	s.Serves(images.Second)
	if strings.Contains(s.Logs(s.T.Context()), "node.killed") {
		s.T.Errorf("the node was not stopped in order:\n%s", s.Logs(s.T.Context()))
	}
}

// unhurried is for a node that has to shake hands with another one. Its own patience is seven seconds.
const unhurried = "-kernel net_setuptime 120\n"

// pings is what another node, on the ship's own network, says of the ship's.
func pings(s *ship.Ship, name, node string, options, flags []string) string {
	s.T.Helper()
	peer, err := s.Session.Start(s.T.Context(), docker.Spec{
		Image: "erlang:" + s.Set.OTP + "-slim", Name: name, Options: append(options, "--network", "container:"+s.ID),
		Command: append([]string{"erl", "-noinput", "-sname", name, "-setcookie", "oatmeal", "-kernel", "net_setuptime", "120", "-eval", "io:put_chars(atom_to_list(net_adm:ping('" + node + "'))), halt()."}, flags...),
	})
	s.Must(err)
	_, err = peer.Wait(s.T.Context())
	s.Must(err)
	return peer.Logs(s.T.Context())
}

var restarts = []string{"--hostname", "deck.example.org", "-e", "AGENT_RESTART=on-failure", "-e", "AGENT_RESTART_DELAY=1ms"}

func TestANodeThatClustersThroughEpmdIsFoundThereByTheAgentToo(t *testing.T) {
	ship.OnEachOTP(t, func(t *testing.T, set *images.Set) {
		s := ship.Build(t, set, append(docker.Hardened(), restarts...)...)
		vmArgs := map[string]string{"vm.args": "-sname demo\n-setcookie oatmeal\n-start_epmd true\n-kernel inet_dist_listen_min 9100 inet_dist_listen_max 9109\n" + unhurried}
		s.Replace(s.ImageOf("epmd", configured(s, images.Seed, vmArgs)))
		s.Serves(images.Seed)
		if got := s.RPC("erl_epmd", "names"); got != `{ok,[{"demo",9100}]}` {
			t.Errorf("epmd knows %s", got)
		}
		if got := pings(s, "peer", "demo@deck", nil, nil); got != "pong" {
			t.Errorf("another node says %s", got)
		}
		goesOn(s, configured(s, images.Second, vmArgs))
		if got := s.Status().Node.Name; got != "demo@deck" {
			t.Errorf("the node is %s", got)
		}
	})
}

// certificates makes those of one node, and an authority, for whoever mounts the directory at /certs.
func certificates(s *ship.Ship) string {
	s.T.Helper()
	dir := s.T.TempDir()
	const key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes"
	const script = "cd /certs && openssl req -x509 " + key + " -days 1 -subj /CN=authority -keyout ca.key -out ca.pem && " +
		"openssl req -new " + key + " -subj /CN=deck -addext subjectAltName=DNS:deck -keyout node.key -out node.csr && " +
		"openssl x509 -req -copy_extensions copy -in node.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 1 -out node.pem && chmod 644 *"
	_, err := docker.Output(s.T.Context(), "run", "--rm", "-u", "0", "-v", dir+":/certs", "--entrypoint", "sh", s.Set.Image, "-c", script)
	s.Must(err)
	const files = `{certfile,"/certs/node.pem"},{keyfile,"/certs/node.key"},{cacertfile,"/certs/ca.pem"},{verify,verify_peer}`
	s.Must(os.WriteFile(filepath.Join(dir, "dist.config"), []byte("[{server,["+files+",{fail_if_no_peer_cert,true}]},{client,["+files+"]}].\n"), 0o644))
	return dir
}

// TestANodeThatSpeaksTLSIsReachedInTLS: the release has no ssl of its own, so it takes the image's.
func TestANodeThatSpeaksTLSIsReachedInTLS(t *testing.T) {
	ship.OnEachOTP(t, func(t *testing.T, set *images.Set) {
		s := ship.Build(t, set)
		mount := []string{"-v", certificates(s) + ":/certs:ro"}
		s.Options = append(append(docker.Hardened(), restarts...), mount...)
		ssl, err := docker.Output(t.Context(), "run", "--rm", "--entrypoint", "sh", set.Image, "-c",
			"for app in asn1 crypto public_key ssl; do echo /usr/lib/erlang/lib/$app-*/ebin; done")
		s.Must(err)
		inTLS := []string{"-proto_dist", "inet_tls", "-ssl_dist_optfile", "/certs/dist.config"}
		vmArgs := map[string]string{"vm.args": "-sname demo\n-setcookie oatmeal\n-mode interactive\n-pa " + strings.Join(strings.Fields(ssl), " ") + "\n" + strings.Join(inTLS, " ") + "\n" + unhurried}
		s.Replace(s.ImageOf("tls", configured(s, images.Seed, vmArgs)))
		s.Serves(images.Seed)
		if got := s.RPC("init", "get_argument", "[proto_dist]"); got != `{ok,[["inet_tls"]]}` {
			t.Errorf("it speaks %s", got)
		}
		if got := pings(s, "peer", "demo@deck", mount, inTLS); got != "pong" {
			t.Errorf("another node says %s", got)
		}
		if got := pings(s, "plain", "demo@deck", nil, nil); got != "pang" {
			t.Errorf("another node says, in the clear, %s", got)
		}
		v := visit(s)
		v.Types("{node(self()), init:get_argument(proto_dist)}.\r")
		v.Shows(`{demo@deck,{ok,[["inet_tls"]]}}`)
		v.leaves(s)
		noShellIsLeft(s)
		goesOn(s, configured(s, images.Second, vmArgs))
	})
}

// TestANameWithoutAHostIsCompletedAsErlangDoes, wherever the release says it: here in the environment and in a file that
// vm.args names. It says nothing of others, so nobody else can reach it.
func TestANameWithoutAHostIsCompletedAsErlangDoes(t *testing.T) {
	ship.OnEachOTP(t, func(t *testing.T, set *images.Set) {
		s := ship.Build(t, set, append(docker.Hardened(), restarts...)...)
		nested := map[string]string{"vm.args": "## the name\n-args_file releases/1.0.0/name.args\n-name other@127.0.0.1\n", "name.args": "-name demo # of two the first counts\n"}
		for about, c := range map[string]struct {
			vmArgs  map[string]string
			options []string
			want    string
		}{
			"vm.args":         {map[string]string{"vm.args": "-sname demo\n"}, nil, "demo@deck"},
			"the environment": {map[string]string{"vm.args": "+K true\n"}, []string{"-e", "ERL_ZFLAGS=-sname demo"}, "demo@deck"},
			"a nested file":   {nested, nil, "demo@deck.example.org"},
		} {
			volume, err := s.Session.Volume(t.Context(), strings.ReplaceAll(about, " ", ""))
			s.Must(err)
			s.Volume, s.Options = volume, append(append(docker.Hardened(), restarts...), c.options...)
			s.Replace(s.ImageOf("name", configured(s, images.Seed, c.vmArgs)))
			s.Serves(images.Seed)
			if got := s.RPC("erlang", "node"); strings.Trim(got, "'") != c.want || s.Status().Node.Name != c.want {
				t.Errorf("%s: the node is %s, and %s in the status", about, got, s.Status().Node.Name)
			}
			listensOnLoopbackOnly(s, "8080", "7000")
		}
		goesOn(s, s.Package(images.Second))
	})
}

// TestAPortOfTheReleasesOwnIsTheNodes, whoever gives it. Before OTP 26 kernel has no parameter for it.
func TestAPortOfTheReleasesOwnIsTheNodes(t *testing.T) {
	ship.OnEachOTPBut(t, "25", func(t *testing.T, set *images.Set) {
		s := ship.Build(t, set)
		for port, c := range map[string]struct {
			vmArgs  string
			options []string
		}{
			"9121": {"-name demo@127.0.0.1\n-kernel erl_epmd_node_listen_port 9121\n", nil},
			"9122": {"-name demo@127.0.0.1\n", []string{"-e", "ERL_DIST_PORT=9122"}},
			"9123": {"-name demo@127.0.0.1\n", []string{"-e", "ERL_FLAGS=-erl_epmd_port 9123"}},
		} {
			s.Options = append(docker.Hardened(), c.options...)
			volume, err := s.Session.Volume(t.Context(), port)
			s.Must(err)
			s.Volume = volume
			s.Replace(s.ImageOf("port", configured(s, images.Seed, map[string]string{"vm.args": c.vmArgs})))
			s.Serves(images.Seed)
			listensOnLoopbackOnly(s, "8080", "7000", port)
		}
	})
}

func TestANodeThatTheAgentCouldNotReachIsNotBooted(t *testing.T) {
	ship.OnEachOTP(t, func(t *testing.T, set *images.Set) {
		s := ship.Build(t, set)
		s.Replace(s.ImageOf("deaf", configured(s, images.Seed, map[string]string{"vm.args": "-name demo@127.0.0.1\n-dist_listen false\n"})))
		if status := dies(s); status != 1 || !strings.Contains(s.Logs(t.Context()), "cannot boot 1.0.0: it has -dist_listen false, and the agent reaches a node over its distribution alone") {
			t.Errorf("exit status %d\n%s", status, s.Logs(t.Context()))
		}
	})
}
