package agent

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"theseus/agent/erlexec"
	"theseus/rpc"
)

// TestWhatTheAgentAddsToADistribution is the table of docs/releases.md. Ports are the agent's 9100 unless the release has one.
func TestWhatTheAgentAddsToADistribution(t *testing.T) {
	const (
		private = "-kernel inet_dist_use_interface {127,0,0,1}"
		chosen  = "-start_epmd false -erl_epmd_port 9100 " + private
	)
	for _, c := range []struct {
		vmArgs, environ string
		adds, addr      string
		epmd            string
	}{
		{"", "", chosen + " -name demo@127.0.0.1", "127.0.0.1:9100", ""},
		{"-name demo@127.0.0.1", "", chosen, "127.0.0.1:9100", ""},
		{"-name demo@localhost", "", chosen, "127.0.0.1:9100", ""},
		{"-sname demo", "", chosen, "127.0.0.1:9100", ""},
		{"-start_epmd false -name demo@127.0.0.1", "", "-erl_epmd_port 9100 " + private, "127.0.0.1:9100", ""},
		{"-name demo@127.0.0.1 -erl_epmd_port 4370", "", "-start_epmd false " + private, "127.0.0.1:4370", ""},
		{"-name demo@127.0.0.1 -kernel inet_dist_use_interface {127,0,0,2}", "", "-start_epmd false -erl_epmd_port 9100", "127.0.0.2:9100", ""},

		{"-name demo@10.0.0.1", "", "", "127.0.0.1:0", "127.0.0.1:4369"},
		{"-sname demo@host", "", "", "127.0.0.1:0", "127.0.0.1:4369"},
		{"-sname demo -start_epmd true", "", "", "127.0.0.1:0", "127.0.0.1:4369"},
		{"-sname demo -start_epmd true", "ERL_EPMD_PORT=5000", "", "127.0.0.1:0", "127.0.0.1:5000"},
		{"-sname demo -start_epmd true -env ERL_EPMD_PORT 5001", "ERL_EPMD_PORT=5000", "", "127.0.0.1:0", "127.0.0.1:5001"},
		{"-sname demo -start_epmd true -epmd_port 5002", "ERL_EPMD_PORT=5000", "", "127.0.0.1:0", "127.0.0.1:5002"},
		{"-sname demo -kernel inet_dist_listen_min 9000 inet_dist_listen_max 9009", "", "", "127.0.0.1:0", "127.0.0.1:4369"},
		{"-sname demo -kernel inet_dist_use_interface {0,0,0,0}", "", "", "127.0.0.1:0", "127.0.0.1:4369"},
		{"-sname demo -kernel inet_dist_use_interface {10,0,0,7}", "", "", "10.0.0.7:0", "127.0.0.1:4369"},
		{"-sname demo -kernel inet_dist_use_interface {0,0,0,0,0,0,0,1} -proto_dist inet6_tcp", "", "", "[::1]:0", "127.0.0.1:4369"},
		{"-sname demo -kernel sync_nodes_optional ['a@b']", "", "", "127.0.0.1:0", "127.0.0.1:4369"},
		{"-name demo@10.0.0.1 -start_epmd false -kernel inet_dist_listen_min 9000", "", "", "127.0.0.1:0", "127.0.0.1:4369"},

		{"-name demo@10.0.0.1 -erl_epmd_port 4370", "", "", "127.0.0.1:4370", ""},
		{"-name demo@10.0.0.1 -start_epmd false", "ERL_DIST_PORT=4370", "-erl_epmd_port 4370", "127.0.0.1:4370", ""},
		{"-name demo@10.0.0.1", "ERL_DIST_PORT=4370", "-start_epmd false -erl_epmd_port 4370", "127.0.0.1:4370", ""},
		{"-sname demo", "ERL_DIST_PORT=4370", "-start_epmd false -erl_epmd_port 4370 " + private, "127.0.0.1:4370", ""},
		{"-sname demo", "ERL_ZFLAGS=-erl_epmd_port 4370", "-start_epmd false " + private, "127.0.0.1:4370", ""},
		{"-name demo@10.0.0.1 -epmd_module my -kernel inet_dist_listen_min 9000 -kernel inet_dist_listen_max 9000", "", "", "127.0.0.1:9000", ""},
	} {
		l, _ := launchWith(t, c.vmArgs, Config{DistPort: 9100}, c.environ)
		_, adds, _ := strings.Cut(strings.Join(l.command.Args, " "), " -heart")
		if got := strings.TrimSpace(adds); got != c.adds {
			t.Errorf("%q, %q: the agent adds %q, want %q", c.vmArgs, c.environ, got, c.adds)
		}
		if l.target.Addr != c.addr || l.target.Epmd != c.epmd || l.target.TLS != nil {
			t.Errorf("%q, %q: it is reached at %q, epmd %q", c.vmArgs, c.environ, l.target.Addr, l.target.Epmd)
		}
	}
}

// TestAPortThatKernelHasIsNotGivenTwice, since a node with both does not boot; before OTP 26 it has no such parameter.
func TestAPortThatKernelHasIsNotGivenTwice(t *testing.T) {
	for erts, want := range map[string]string{"13.1.5": "-start_epmd false -erl_epmd_port 9100", "14.0": "-start_epmd false", "15.2.7": "-start_epmd false"} {
		said, err := erlexec.Line{Args: strings.Fields("-name demo@127.0.0.1 -kernel erl_epmd_node_listen_port 4370")}.Read()
		if err != nil {
			t.Fatal(err)
		}
		lacks, target, err := distributionOf(said, nil, erts).reach(Config{DistPort: 9100})
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(lacks, " "); got != want+" -kernel inet_dist_use_interface {127,0,0,1}" || want == "-start_epmd false" && target.Addr != "127.0.0.1:4370" {
			t.Errorf("ERTS %s: the agent adds %q and asks at %s", erts, got, target.Addr)
		}
	}
}

func TestAReleasesConfigurationSaysHowItsNodeListens(t *testing.T) {
	v := makeVolume(t, map[string]string{"1.0.0": ""})
	dir := v.ReleaseDir("1.0.0")
	if err := os.Remove(filepath.Join(dir, "sys.config")); err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "sys.config"), "[{kernel,[{inet_dist_listen_min,9000},{inet_dist_listen_max,9009}]}].")
	l, err := newLaunch(Config{RunDir: t.TempDir()}, v, boot{Release: v.State().Releases["1.0.0"]}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if l.target.Epmd == "" || slices.Contains(l.command.Args, "-erl_epmd_port") || l.gives("-kernel", "inet_dist_use_interface") {
		t.Errorf("it is reached as %+v by %v", l.target, l.command.Args)
	}
}

func TestANodeThatSpeaksTLSIsReachedWithItsOwnCertificates(t *testing.T) {
	v := makeVolume(t, map[string]string{"1.0.0": ""})
	write(t, v.Path("dist.config"), `[{server,[{certfile,"etc/node.pem"},{keyfile,"/keys/node.key"},{cacertfile,"etc/ca.pem"},{verify,verify_peer}]},
		{client,[{cacertfile,<<"etc/ca.pem">>},{verify,verify_peer},{verify_fun,{fun inet_tls_dist:verify_client/3,[]}}]}].`)
	write(t, v.Path("own.config"), `[{client,[{certs_keys,[#{certfile=>"a.pem",keyfile=>"a.key"},#{certfile=>"b.pem"}]}]}].`)
	for vmArgs, want := range map[string]rpc.TLS{
		"-ssl_dist_optfile dist.config":                                                                         {CertFile: v.Path("etc/node.pem"), KeyFile: "/keys/node.key", CAFile: v.Path("etc/ca.pem")},
		"-ssl_dist_optfile " + v.Path("own.config"):                                                             {CertFile: v.Path("a.pem"), KeyFile: v.Path("a.key")},
		"-ssl_dist_opt server_certfile s.pem client_certfile c.pem":                                             {CertFile: v.Path("c.pem"), KeyFile: v.Path("c.pem")},
		"-ssl_dist_opt server_certfile s.pem -ssl_dist_opt client_verify verify_peer client_cacertfile /ca.pem": {CertFile: v.Path("s.pem"), KeyFile: v.Path("s.pem"), CAFile: "/ca.pem"},
		"": {},
	} {
		path := filepath.Join(v.ReleaseDir("1.0.0"), "vm.args")
		_ = os.Remove(path)
		write(t, path, "-name demo@127.0.0.1 -proto_dist inet_tls "+vmArgs)
		l, err := newLaunch(Config{RunDir: t.TempDir()}, v, boot{Release: v.State().Releases["1.0.0"]}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if l.target.TLS == nil || *l.target.TLS != want || l.target.Epmd == "" {
			t.Errorf("%s: it is reached with %+v", vmArgs, l.target.TLS)
		}
	}
}

func TestAnIdentityThatLeavesTheAgentOutsideIsRefused(t *testing.T) {
	v := makeVolume(t, map[string]string{"1.0.0": ""})
	write(t, v.Path("secret.config"), `[{server,[{certfile,"a.pem"},{password,"x"}]}].`)
	write(t, v.Path("unnamed.config"), `[{client,[{verify,verify_peer},{certfile,"c.pem"},{cacerts,[<<1,2>>]}]}].`)
	write(t, v.Path("program.config"), `[{server,[{certfile,filename:join("/a","b")}]}].`)
	for vmArgs, want := range map[string]string{
		"-detached":            "would leave the agent at once",
		"-name\n-setcookie a":  "without a name",
		"-dist_listen false":   "-dist_listen false, and the agent reaches",
		"-name undefined@host": "give it one of its own",
		"-proto_dist inet_ssh": "-proto_dist inet_ssh, and the agent speaks inet_tcp, inet6_tcp, inet_tls, inet6_tls",
		"-epmd_module my_epmd": "on which port",
		"-proto_dist inet_tls -ssl_dist_optfile gone.config":                 "cannot read gone.config, its -ssl_dist_optfile",
		"-proto_dist inet_tls -ssl_dist_optfile secret.config":               "has a password",
		"-proto_dist inet_tls -ssl_dist_optfile unnamed.config":              "names no cacertfile",
		"-proto_dist inet_tls -ssl_dist_optfile " + v.Path("program.config"): "the agent reads terms alone: line 1",
		"-args_file gone.args": "cannot read the arguments file: open " + v.Path("gone.args"),
	} {
		path := filepath.Join(v.ReleaseDir("1.0.0"), "vm.args")
		_ = os.Remove(path)
		write(t, path, vmArgs)
		if _, err := newLaunch(Config{RunDir: t.TempDir()}, v, boot{Release: v.State().Releases["1.0.0"]}, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", vmArgs, err)
		}
	}
}

func TestANameWithoutAHostGetsTheMachinesOwn(t *testing.T) {
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	host, _, _ = strings.Cut(host, ".")
	l, _ := launchWith(t, "-sname demo", Config{})
	if l.target.Node != "demo@"+host {
		t.Errorf("its name is %s", l.target.Node)
	}
	if l.gives("-name") {
		t.Error("it has two names")
	}
}
