package source

import (
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
)

const (
	mostRedirects = 5
	mostHeader    = 1 << 20 // of an answer, bytes
)

// newClient is one that follows redirects from a URL, but never out of https. Proxies are those of the environment.
func newClient(u *url.URL) *http.Client {
	transport := &http.Transport{
		Proxy: http.ProxyFromEnvironment, DisableCompression: true, ForceAttemptHTTP2: true, MaxResponseHeaderBytes: mostHeader,
	}
	return &http.Client{
		Transport: private{transport, u.Scheme != "http"},
		CheckRedirect: func(r *http.Request, via []*http.Request) error {
			if len(via) > mostRedirects {
				return lost("", "cannot read %s: it leads on more than %d times", Redact(u.String()), mostRedirects)
			}
			r.Header.Del("Referer")
			if r.URL.Host != via[0].URL.Host { // net/http tells other ports and subdomains as well
				r.Header.Del("Authorization")
			}
			return nil
		},
	}
}

// private lets nothing of an exchange go in the clear that has begun in https, whoever leads there.
type private struct {
	*http.Transport
	always bool
}

// RoundTrip is that of a http.RoundTripper.
func (p private) RoundTrip(r *http.Request) (*http.Response, error) {
	if p.always && r.URL.Scheme != "https" {
		return nil, lost("", "cannot read %s: it leads out of https, to %s", r.URL.Hostname(), Redact(r.URL.String()))
	}
	return p.Transport.RoundTrip(r)
}

// userOf is who asks: the user in the URL, else the one that .netrc has for the host, where nobody listens.
func userOf(u *url.URL) *url.Userinfo {
	if u.User != nil {
		return u.User
	}
	if u.Scheme != "https" && !isLoopback(u.Hostname()) {
		return nil
	}
	text, err := os.ReadFile(netrcPath())
	if err != nil {
		return nil
	}
	return netrcUser(string(text), u.Hostname())
}

func netrcPath() string {
	if path := os.Getenv("NETRC"); path != "" {
		return path
	}
	return filepath.Join(os.Getenv("HOME"), ".netrc")
}

// netrcUser finds a host in a .netrc: words, of which machine NAME or default begins an entry. What follows a macdef is
// no entry up to the next empty line.
func netrcUser(text, host string) *url.Userinfo {
	var login, password string
	ours := false
	for paragraph := range strings.SplitSeq(text, "\n\n") {
		entries, _, _ := strings.Cut(paragraph, "macdef")
		words := strings.Fields(entries)
		for i := 0; i < len(words); i++ {
			if words[i] == "machine" || words[i] == "default" {
				if ours {
					return url.UserPassword(login, password)
				}
				ours = words[i] == "default" || i+1 < len(words) && words[i+1] == host
				login, password = "", ""
			}
			if i+1 == len(words) || words[i] == "default" {
				continue
			}
			switch i++; words[i-1] {
			case "login":
				login = words[i]
			case "password":
				password = words[i]
			}
		}
	}
	if !ours {
		return nil
	}
	return url.UserPassword(login, password)
}

// isLoopback is true of hosts that no network leads to.
func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
