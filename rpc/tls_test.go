package rpc_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"theseus/rpc"
	"theseus/rpc/term"
)

// authority signs certificates for one test.
type authority struct {
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// newAuthority makes one whose own certificate is ca.pem in dir.
func newAuthority(t *testing.T, dir string) *authority {
	t.Helper()
	a := &authority{dir: dir}
	a.key = newKey(t)
	a.cert = a.sign(t, "ca", a.key, &x509.Certificate{IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature})
	return a
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// sign writes NAME.pem and NAME.key.
func (a *authority) sign(t *testing.T, name string, key *ecdsa.PrivateKey, c *x509.Certificate) *x509.Certificate {
	t.Helper()
	c.SerialNumber, c.Subject = big.NewInt(time.Now().UnixNano()), pkix.Name{CommonName: name}
	c.NotBefore, c.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	by := a.cert
	if by == nil {
		by = c
	}
	der, err := x509.CreateCertificate(rand.Reader, c, by, key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	writePEM(t, filepath.Join(a.dir, name+".pem"), "CERTIFICATE", der)
	writePEM(t, filepath.Join(a.dir, name+".key"), "PRIVATE KEY", private)
	signed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

func writePEM(t *testing.T, path, kind string, der []byte) {
	t.Helper()
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
}

// startTLS boots a node that speaks TLS alone, of these versions, to whom its authority knows.
func startTLS(t *testing.T, versions string) (*erlang, string) {
	t.Helper()
	dir := t.TempDir()
	newAuthority(t, dir).sign(t, "node", newKey(t), &x509.Certificate{DNSNames: []string{"localhost"}})
	both := fmt.Sprintf(`{certfile,"%[1]s/node.pem"},{keyfile,"%[1]s/node.key"},{cacertfile,"%[1]s/ca.pem"},{verify,verify_peer},{versions,[%[2]s]}`, dir, versions)
	optfile := filepath.Join(dir, "dist.config")
	text := fmt.Sprintf("[{server,[%s,{fail_if_no_peer_cert,true}]},{client,[%s]}].\n", both, both)
	if err := os.WriteFile(optfile, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	e := start(t, boot{program: "erl", name: "-name", host: "127.0.0.1", dir: dir, flags: []string{"-proto_dist", "inet_tls", "-ssl_dist_optfile", optfile}})
	e.TLS = &rpc.TLS{CertFile: dir + "/node.pem", KeyFile: dir + "/node.key", CAFile: dir + "/ca.pem"}
	return e, dir
}

func TestANodeThatSpeaksTLSIsReached(t *testing.T) {
	for _, version := range []string{"'tlsv1.2'", "'tlsv1.3'"} {
		t.Run(version, func(t *testing.T) {
			e, _ := startTLS(t, version)
			n := e.connect(t)
			half := bytes.Repeat([]byte("0123456789abcdef"), 1<<16) // many records
			answer := call(t, n, "binary", "copy", term.Binary(half), int64(2))
			if got, _ := answer.(term.Binary); !bytes.Equal(got, append(half, half...)) {
				t.Errorf("%d bytes came back", len(got))
			}
			if hidden := call(t, n, "erlang", "nodes", term.Atom("hidden")).(term.List); len(hidden) != 1 {
				t.Errorf("nodes(hidden) = %s", term.Format(hidden))
			}
		})
	}
}

func TestWhatTLSRefusesIsNamed(t *testing.T) {
	e, dir := startTLS(t, "'tlsv1.3'")
	e.connect(t)
	other := t.TempDir()
	newAuthority(t, other).sign(t, "node", newKey(t), &x509.Certificate{DNSNames: []string{"localhost"}})
	own := *e.TLS
	for about, c := range map[string]struct {
		tls  rpc.TLS
		want string
	}{
		"no certificate of ours":        {rpc.TLS{CAFile: own.CAFile}, "certificate required"},
		"one of another authority":      {rpc.TLS{CertFile: other + "/node.pem", KeyFile: other + "/node.key", CAFile: own.CAFile}, "unknown certificate authority"},
		"the node's of another":         {rpc.TLS{CertFile: own.CertFile, KeyFile: own.KeyFile, CAFile: other + "/ca.pem"}, "certificate signed by unknown authority"},
		"a key that is none":            {rpc.TLS{CertFile: own.CertFile, KeyFile: own.CertFile}, "cannot use the certificate"},
		"a certificate that is missing": {rpc.TLS{CertFile: dir + "/gone.pem", KeyFile: own.KeyFile}, "no such file"},
		"an authority without any":      {rpc.TLS{CAFile: own.KeyFile}, "holds no certificate"},
	} {
		target := e.Target
		target.TLS = &c.tls
		if _, err := rpc.Connect(t.Context(), target); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", about, err)
		}
	}
	target := e.Target
	target.TLS = nil
	if _, err := rpc.Connect(t.Context(), target); !errors.Is(err, rpc.ErrHandshake) {
		t.Errorf("in the clear: %v", err)
	}
	target = e.Target
	target.Cookie = "wrong"
	if _, err := rpc.Connect(t.Context(), target); !errors.Is(err, rpc.ErrCookie) {
		t.Errorf("a wrong cookie: %v", err)
	}
}

func TestACertificateThatWasRenewedIsTakenAtTheNextConnection(t *testing.T) {
	e, dir := startTLS(t, "'tlsv1.2'")
	e.connect(t).Close()
	good, err := os.ReadFile(e.TLS.CertFile)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(e.TLS.CertFile, []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := rpc.Connect(t.Context(), e.Target); err == nil || !strings.Contains(err.Error(), dir+"/node.pem") {
		t.Errorf("got %v", err)
	}
	if err := os.WriteFile(e.TLS.CertFile, good, 0o600); err != nil {
		t.Fatal(err)
	}
	e.connect(t)
}

// TestAWriteInTLSThatIsLateEndsTheConnection: crypto/tls writes nothing any more behind one, so that no call would go out until
// the node ends.
func TestAWriteInTLSThatIsLateEndsTheConnection(t *testing.T) {
	if !onHost() {
		t.Skip("a process in a container is not stopped from here")
	}
	e, _ := startTLS(t, "'tlsv1.2'")
	n := e.connect(t)
	if err := e.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the connection to end", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		var calls sync.WaitGroup
		for range 1000 { // more than the sockets hold, each of them one record
			calls.Go(func() { _, _ = n.Call(ctx, "erlang", "size", term.Binary(make([]byte, 15<<10))) })
		}
		calls.Wait()
		return !n.Connected()
	})
	if err := e.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	e.connect(t)
}
