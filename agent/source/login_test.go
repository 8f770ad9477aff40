package source_test

import (
	"encoding/base64"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"theseus/agent/source"
)

// TestLoginsGoNowhereWhereSomebodyListens: a server without TLS that is not on loopback asks who is there, and is not told.
func TestLoginsGoNowhereWhereSomebodyListens(t *testing.T) {
	var asked, told atomic.Int32
	web := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		if r.Header.Get("Authorization") != "" {
			told.Add(1)
		}
		w.Header().Set("WWW-Authenticate", `Basic realm="story"`)
		w.WriteHeader(http.StatusUnauthorized)
	}))
	ip := outerAddress(t)
	web.Listener.Close()
	l, err := net.Listen("tcp", net.JoinHostPort(ip, "0"))
	if err != nil {
		t.Fatal(err)
	}
	web.Listener = l
	web.Start()
	defer web.Close()
	host := l.Addr().String()

	dir := t.TempDir()
	t.Setenv("NETRC", filepath.Join(dir, "netrc"))
	t.Setenv("DOCKER_CONFIG", dir)
	login := base64.StdEncoding.EncodeToString([]byte("carol:sesame"))
	for name, text := range map[string]string{
		"netrc":       "default login carol password sesame\n",
		"config.json": `{"auths": {"` + host + `": {"auth": "` + login + `"}}}`,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, ref := range []string{"http://" + host + "/app.tar.gz", "oci+http://" + host + "/app:1.1.0"} {
		_, err := source.Open(t.Context(), ref, source.Options{Look: true, Pace: pace})
		if code, words := codeOf(err); code != source.CodeNoPackage || !strings.Contains(words, "it answers 401") {
			t.Errorf("%s: %s: %s", ref, code, words)
		}
	}
	if asked.Load() != 2 || told.Load() != 0 {
		t.Errorf("of %d requests %d have a login", asked.Load(), told.Load())
	}
}

// outerAddress is one of this machine that is not loopback.
func outerAddress(t *testing.T) string {
	t.Helper()
	all, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range all {
		if n, ok := a.(*net.IPNet); ok && !n.IP.IsLoopback() && n.IP.To4() != nil {
			return n.IP.String()
		}
	}
	t.Skip("this machine has no network")
	return ""
}
