package api

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"syscall"
	"time"
)

// maxTrailer is what an ErrorTrailer may be long, bytes.
const maxTrailer = 1 << 20

// Client talks to one agent. Its zero value is not usable; call NewClient.
type Client struct {
	socket string
	http   *http.Client
}

// NewClient returns a client of the agent that listens on socket. Nothing is opened before the first call.
func NewClient(socket string) *Client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	}
	// An agent that is busy says so before the package is sent.
	transport := &http.Transport{
		DialContext: dial, ExpectContinueTimeout: time.Minute, DisableCompression: true,
		ReadBufferSize: maxTrailer, // a trailer must fit into it (net/http: "suspiciously long trailer")
	}
	return &Client{socket: socket, http: &http.Client{Transport: transport}}
}

// Status asks what runs and what the agent is doing.
func (c *Client) Status(ctx context.Context) (Status, error) {
	return get[Status](ctx, c, "/v1/status")
}

// Releases lists the releases on the volume, oldest first.
func (c *Client) Releases(ctx context.Context) ([]Release, error) {
	return get[[]Release](ctx, c, "/v1/releases")
}

// History returns at most limit of the newest recorded events, oldest first; 0 means all.
func (c *Client) History(ctx context.Context, limit int) ([]Event, error) {
	return get[[]Event](ctx, c, "/v1/history?limit="+strconv.Itoa(limit))
}

// Version asks for the version of the running agent.
func (c *Client) Version(ctx context.Context) (Version, error) {
	return get[Version](ctx, c, "/v1/version")
}

// Health is nil when the node runs; an *Error with CodeNodeDown says in which state it is.
func (c *Client) Health(ctx context.Context) error {
	_, err := get[Health](ctx, c, "/v1/health")
	return err
}

// Gates asks each gate once, now.
func (c *Client) Gates(ctx context.Context) (Gates, error) {
	return call[Gates](ctx, c, "/v1/gates", struct{}{})
}

// Remove takes a release off the volume.
func (c *Client) Remove(ctx context.Context, version string) (Removed, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodDelete, c.url("/v1/releases/"+url.PathEscape(version)), nil)
	if err != nil {
		return Removed{}, err
	}
	return decode[Removed](c.do(r))
}

// Stop asks for an orderly end of node and agent. It returns when the agent has accepted to stop.
func (c *Client) Stop(ctx context.Context) error {
	_, err := call[struct{}](ctx, c, "/v1/stop", struct{}{})
	return err
}

// Upgrade sends a package and follows the upgrade to its end; each event goes to on, the last one excepted.
// An error means that the outcome is not known from the answer: ask Status. Where the agent refused to begin,
// it is an *Error.
func (c *Client) Upgrade(ctx context.Context, req UpgradeRequest, pkg io.Reader, on func(Event)) (Result, error) {
	return c.send(ctx, "/v1/upgrade", req, pkg, on)
}

// Unpack sends a package whose release is to be on the volume, and no more; its end is followed as Upgrade does.
func (c *Client) Unpack(ctx context.Context, req UpgradeRequest, pkg io.Reader, on func(Event)) (Result, error) {
	return c.send(ctx, "/v1/unpack", req, pkg, on)
}

// Install goes to a release on the volume and follows it to its end, as Upgrade does.
func (c *Client) Install(ctx context.Context, req InstallRequest, on func(Event)) (Result, error) {
	return c.ask(ctx, "/v1/install", req, on)
}

// Commit makes what is on probation permanent and follows that to its end, as Upgrade does.
func (c *Client) Commit(ctx context.Context, req CommitRequest, on func(Event)) (Result, error) {
	return c.ask(ctx, "/v1/commit", req, on)
}

// Rollback goes back to an older release on the volume and follows it to its end, as Upgrade does. What is on probation is
// taken back.
func (c *Client) Rollback(ctx context.Context, req RollbackRequest, on func(Event)) (Result, error) {
	return c.ask(ctx, "/v1/rollback", req, on)
}

func (c *Client) ask(ctx context.Context, path string, req any, on func(Event)) (Result, error) {
	r, err := c.post(ctx, path, req)
	if err != nil {
		return Result{}, err
	}
	return c.follow(r, on)
}

// query is what goes with a package.
func (r UpgradeRequest) query() string {
	query := url.Values{"name": {r.Name}}
	if r.SHA256 != "" {
		query.Set("sha256", r.SHA256)
	}
	if r.Restart {
		query.Set("restart", "true")
	}
	if r.Settle != nil {
		query.Set("settle", r.Settle.String())
	}
	if r.Derived {
		query.Set("derived", "true")
	}
	if r.AllowDowngrade {
		query.Set("allow_downgrade", "true")
	}
	if r.NoCommit {
		query.Set("no_commit", "true")
	}
	if r.CommitWithin != 0 {
		query.Set("commit_within", r.CommitWithin.String())
	}
	return query.Encode()
}

func (c *Client) send(ctx context.Context, path string, req UpgradeRequest, pkg io.Reader, on func(Event)) (Result, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url(path+"?"+req.query()), io.NopCloser(pkg))
	if err != nil {
		return Result{}, err
	}
	if req.Size > 0 {
		r.ContentLength = req.Size
	}
	if req.Signature != "" {
		r.Header.Set(SignatureHeader, base64.StdEncoding.EncodeToString([]byte(req.Signature)))
	}
	r.Header.Set("Content-Type", "application/gzip")
	r.Header.Set("Expect", "100-continue")
	return c.follow(r, on)
}

// follow reads one event a line until the one that carries the result.
func (c *Client) follow(r *http.Request, on func(Event)) (Result, error) {
	resp, err := c.do(r)
	if err != nil {
		return Result{}, err
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var e Event
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			return Result{}, fmt.Errorf("cannot read the agent's event: %w", err)
		}
		if e.Result != nil {
			_, _ = io.Copy(io.Discard, resp.Body) // it is over, and another one can begin, when the agent closes the stream
			return *e.Result, nil
		}
		on(e)
	}
	if err := lines.Err(); err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		return Result{}, fmt.Errorf("cannot follow the upgrade: %w", err)
	}
	return Result{}, errors.New("cannot follow the upgrade: the agent ended, or closed the stream before its result")
}

func get[T any](ctx context.Context, c *Client, path string) (T, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, c.url(path), nil)
	if err != nil {
		return *new(T), err
	}
	return decode[T](c.do(r))
}

func call[T any](ctx context.Context, c *Client, path string, body any) (T, error) {
	r, err := c.post(ctx, path, body)
	if err != nil {
		return *new(T), err
	}
	return decode[T](c.do(r))
}

func (c *Client) post(ctx context.Context, path string, body any) (*http.Request, error) {
	var text bytes.Buffer
	out := json.NewEncoder(&text)
	out.SetEscapeHTML(false) // it would make six bytes of each < in a program
	if err := out.Encode(body); err != nil {
		return nil, err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url(path), &text)
	if err == nil {
		r.Header.Set("Content-Type", "application/json")
	}
	return r, err
}

func (c *Client) url(path string) string { return "http://agent" + path }

// do returns an answer of status 200, and everything else as an *Error.
func (c *Client) do(r *http.Request) (*http.Response, error) {
	resp, err := c.http.Do(r)
	switch {
	case errors.Is(err, syscall.ENOENT), errors.Is(err, syscall.ECONNREFUSED):
		return nil, &Error{
			Code: CodeNotRunning, Message: fmt.Sprintf("no agent answers on %s", c.socket),
			Hint: "agent run starts one; --socket names another place",
		}
	case err != nil:
		return nil, fmt.Errorf("cannot ask the agent on %s: %w", c.socket, errors.Unwrap(err))
	case resp.StatusCode == http.StatusOK:
		return resp, nil
	}
	defer resp.Body.Close()
	var e Error
	if err := json.NewDecoder(io.LimitReader(resp.Body, 1<<20)).Decode(&e); err != nil || e.Code == "" {
		return nil, fmt.Errorf("cannot read the agent's answer: status %s", resp.Status)
	}
	return nil, &e
}

func decode[T any](resp *http.Response, err error) (T, error) {
	var v T
	if err != nil {
		return v, err
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(&v); err != nil {
		return v, fmt.Errorf("cannot read the agent's answer: %w", err)
	}
	return v, nil
}
