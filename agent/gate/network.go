package gate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"

	"theseus/agent/printable"
)

// ask is one try of a gate.
type ask = func(context.Context, *Subject) error

const maxBody = 64 << 10 // bytes of an answer that are looked at

// httpKind asks for a page.
type httpKind struct {
	URL    string `toml:"url"`
	Status int    `toml:"status"` // 0: any of 200 to 299
	Body   string `toml:"body"`   // a regular expression
}

func (k *httpKind) gate(Source) (ask, error) {
	u, err := url.Parse(k.URL)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, fmt.Errorf("cannot use url=%q: it is no address such as http://127.0.0.1:8080/ready", k.URL)
	}
	body, err := regexp.Compile(k.Body)
	if err != nil {
		return nil, fmt.Errorf("cannot use body=%q: %w", k.Body, err)
	}
	return func(ctx context.Context, _ *Subject) error { return k.request(ctx, body) }, nil
}

// request is made anew each time: a connection that is kept says nothing of whether another one can be made. What redirects
// is judged by that.
func (k *httpKind) request(ctx context.Context, body *regexp.Regexp) error {
	client := http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true, MaxResponseHeaderBytes: maxBody},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, k.URL, nil)
	if err != nil {
		return err
	}
	req.Header.Set("User-Agent", "agent-gate")
	resp, err := client.Do(req)
	if err != nil {
		return unwrapped(err)
	}
	defer resp.Body.Close()
	if k.Status != 0 && resp.StatusCode != k.Status || k.Status == 0 && resp.StatusCode/100 != 2 {
		return fmt.Errorf("it answers with %d", resp.StatusCode)
	}
	if k.Body == "" {
		return nil
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxBody))
	if err != nil {
		return unwrapped(err)
	}
	if !body.Match(text) {
		return fmt.Errorf("its answer does not match %q: %s", k.Body, printable.Line(string(text)))
	}
	return nil
}

// unwrapped leaves out what the file says already: the method and the address.
func unwrapped(err error) error {
	var about *url.Error
	if errors.As(err, &about) && !errors.Is(err, context.DeadlineExceeded) {
		return about.Err
	}
	return err
}

// tcpKind connects.
type tcpKind struct {
	Address string `toml:"address"`
}

func (k *tcpKind) gate(Source) (ask, error) {
	if _, _, err := net.SplitHostPort(k.Address); err != nil {
		return nil, fmt.Errorf("cannot use address=%q: it is no host and port such as 127.0.0.1:7000", k.Address)
	}
	return func(ctx context.Context, _ *Subject) error {
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", k.Address)
		if err != nil {
			return err
		}
		return conn.Close()
	}, nil
}
