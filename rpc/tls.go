package rpc

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"os"

	"github.com/ergo-services/ergo/lib"
)

// TLS is what a node with -proto_dist inet_tls takes and shows (ssl: inet_tls_dist). The files are read for each
// connection, since they are renewed while the node runs.
type TLS struct {
	CertFile, KeyFile string // of the certificate that we show; empty: none
	CAFile            string // of those who may have signed the node's; empty: anybody
}

// config is for one connection. The name in the node's certificate is not looked at: we are on its machine, and reach
// it there by an address.
func (t TLS) config() (*tls.Config, error) {
	c := &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12} //nolint:gosec // verified below, where the node wants it
	if t.CertFile != "" {
		certificate, err := tls.LoadX509KeyPair(t.CertFile, t.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("cannot use the certificate %s: %w", t.CertFile, err)
		}
		c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &certificate, nil }
	}
	if t.CAFile == "" {
		return c, nil
	}
	pem, err := os.ReadFile(t.CAFile)
	if err != nil {
		return nil, fmt.Errorf("cannot read the certificates of the authorities: %w", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no certificate", t.CAFile)
	}
	c.VerifyConnection = func(s tls.ConnectionState) error { return signedBy(roots, s.PeerCertificates) }
	return c, nil
}

func signedBy(roots *x509.CertPool, chain []*x509.Certificate) error {
	options := x509.VerifyOptions{Roots: roots, Intermediates: x509.NewCertPool(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}
	for _, c := range chain[1:] {
		options.Intermediates.AddCert(c)
	}
	_, err := chain[0].Verify(options)
	return err
}

func inTLS(conn lib.NetReadWriter) bool {
	_, is := conn.(*tls.Conn)
	return is
}

// wrap makes the connection one of TLS. Its error says what is wrong with the certificates, which is not the node's to
// tell us later.
func (t TLS) wrap(ctx context.Context, conn net.Conn) (net.Conn, error) {
	c, err := t.config()
	if err != nil {
		return nil, err
	}
	wrapped := tls.Client(conn, c)
	if err := wrapped.HandshakeContext(ctx); err != nil {
		return nil, fmt.Errorf("%w: TLS: %w", ErrHandshake, endedBy(ctx, err))
	}
	return wrapped, nil
}
