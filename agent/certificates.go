package agent

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"theseus/agent/erlexec"
	"theseus/rpc"
	"theseus/rpc/term"
)

// options are those of one side of TLS, as ssl names them.
type options map[string]term.Term

// certificates are what the agent shows to a node and expects of it: the same that another node of the release would, by
// -ssl_dist_optfile and -ssl_dist_opt (ssl: inet_tls_dist:get_ssl_options/1).
func certificates(said erlexec.Args) (*rpc.TLS, error) {
	client, server, err := tlsOptions(said)
	if err != nil {
		return nil, err
	}
	own := client
	if client.file("certfile") == "" && client["certs_keys"] == nil {
		own = server // of a client that shows none we cannot know whether the server insists
	}
	own = own.flat()
	if own["password"] != nil {
		return nil, errors.New("the key of its TLS distribution has a password, and the agent reads keys without one")
	}
	t := &rpc.TLS{CertFile: said.Path(own.file("certfile")), KeyFile: said.Path(own.file("keyfile"))}
	if t.KeyFile == "" {
		t.KeyFile = t.CertFile // which may hold both
	}
	if client["verify"] == term.Atom("verify_peer") {
		if t.CAFile = said.Path(client.file("cacertfile")); t.CAFile == "" {
			return nil, errors.New("its TLS distribution verifies whom it connects to, and names no cacertfile, which is all that the agent can read")
		}
	}
	return t, nil
}

// file is the value of an option that names a file.
func (o options) file(name string) string {
	switch v := o[name].(type) {
	case term.Binary:
		return string(v)
	default:
		path, _ := term.AsString(v)
		return path
	}
}

// flat takes the first of several certificates, {certs_keys, [#{certfile => …}]}, to where one alone stands.
func (o options) flat() options {
	list, _ := o["certs_keys"].(term.List)
	if len(list) == 0 {
		return o
	}
	first, _ := list[0].(term.Map)
	flat := options{}
	for _, p := range first {
		if key, is := p.Key.(term.Atom); is {
			flat[string(key)] = p.Value
		}
	}
	return flat
}

// tlsOptions reads both sides. What the line says counts more than the file does.
func tlsOptions(said erlexec.Args) (client, server options, err error) {
	client, server = options{}, options{}
	sides := map[string]options{"client": client, "server": server}
	if file := said.First("-ssl_dist_optfile"); file != "" {
		if err := readOptfile(said.Path(file), sides); err != nil {
			return nil, nil, fmt.Errorf("cannot read %s, its -ssl_dist_optfile: %w", file, err)
		}
	}
	for _, pairs := range said.All("-ssl_dist_opt") {
		for i := 0; i+1 < len(pairs); i += 2 {
			side, name, _ := strings.Cut(pairs[i], "_")
			if of := sides[side]; of != nil {
				of[name] = optionValue(name, pairs[i+1])
			}
		}
	}
	return client, server, nil
}

func optionValue(name, text string) term.Term {
	if name == "verify" {
		return term.Atom(text)
	}
	return term.String(text)
}

// readOptfile reads [{server, [{certfile, "…"}, …]}, {client, […]}]. To a node it is an expression, and may hold more
// than terms.
func readOptfile(path string, sides map[string]options) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	content, err := term.ParseOne(text)
	if err != nil {
		return fmt.Errorf("the agent reads terms alone: %w", err)
	}
	list, _ := content.(term.List)
	for _, entry := range list {
		of, _ := entry.(term.Tuple)
		if len(of) != 2 {
			continue
		}
		side, _ := of[0].(term.Atom)
		pairs, _ := of[1].(term.List)
		sides[string(side)].note(pairs)
	}
	return nil
}

func (o options) note(pairs term.List) {
	for _, p := range pairs {
		pair, _ := p.(term.Tuple)
		if len(pair) != 2 || o == nil {
			continue
		}
		if name, is := pair[0].(term.Atom); is {
			o[string(name)] = pair[1]
		}
	}
}
