package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"theseus/integration/docker"
	"theseus/integration/images"
	"theseus/integration/load"
)

const patience = 60 * time.Second

// step is one thing that an operator does while the load runs.
type step struct {
	name    string
	command []string
	input   string // file on stdin
	version string // that serves afterwards
}

func steps(set *images.Set) []step {
	upgrade := []string{"agent", "upgrade", "-"}
	return []step{
		{"upgrade 1.1.0", upgrade, set.Package(images.Second), images.Second},
		{"upgrade 1.2.0", upgrade, set.Package(images.Third), images.Third},
		{"rollback 1.1.0", []string{"agent", "rollback", images.Second}, "", images.Second},
	}
}

// story is a running container, the steps to do with it, and the load that watches.
type story struct {
	cfg    config
	node   *docker.Container
	ip     string
	steps  []step
	stdout io.Writer
}

func prepare(ctx context.Context, session *docker.Session, cfg config, stdout, stderr io.Writer) (*story, error) {
	fmt.Fprintf(stdout, "building the image and the packages for OTP %s\n", cfg.otp)
	set, err := buildImages(ctx, session, cfg.otp, stderr)
	if err != nil {
		return nil, err
	}
	volume, err := session.Volume(ctx, "release")
	if err != nil {
		return nil, err
	}
	options := []string{"-v", volume + ":/var/lib/release"}
	if cfg.hardened {
		options = append(options, docker.Hardened()...)
	}
	fmt.Fprintf(stdout, "$ docker run -d %s %s\n", strings.Join(options, " "), set.Image)
	node, err := session.Start(ctx, docker.Spec{Image: set.Image, Name: "node", Options: options})
	if err != nil {
		return nil, err
	}
	ip, err := node.IP(ctx)
	if err != nil {
		return nil, err
	}
	st := &story{cfg: cfg, node: node, ip: ip, steps: steps(set), stdout: stdout}
	return st, st.awaitVersion(ctx, images.Seed)
}

// buildImages keeps docker's many lines to itself unless something goes wrong.
func buildImages(ctx context.Context, session *docker.Session, otp string, stderr io.Writer) (*images.Set, error) {
	var progress bytes.Buffer
	set, err := images.Prepare(ctx, session, otp, &progress)
	if err != nil {
		progress.WriteTo(stderr)
	}
	return set, err
}

// tell puts the load on, does the steps one after the other and reports what the clients noticed. The
// load is stopped also when a step fails.
func (st *story) tell(ctx context.Context) (*load.Report, error) {
	cfg := st.cfg.load
	cfg.HTTP, cfg.TCP = st.ip+":8080", st.ip+":7000"
	fmt.Fprintf(st.stdout, "load: %d keep-alive HTTP clients, %d TCP sessions\n", cfg.HTTPClients, cfg.Sessions)
	clients, err := load.Start(ctx, cfg)
	if err != nil {
		return nil, err
	}
	err = st.follow(ctx, clients)
	report := clients.Stop()
	if err != nil {
		printReport(st.stdout, report)
	}
	return report, err
}

func (st *story) follow(ctx context.Context, clients *load.Generator) error {
	if err := load.Pause(ctx, st.cfg.quiet); err != nil {
		return err
	}
	for _, s := range st.steps {
		clients.Mark(s.name)
		if err := st.do(ctx, s); err != nil {
			return err
		}
		clients.Mark("then steady")
		if err := load.Pause(ctx, st.cfg.quiet); err != nil {
			return err
		}
	}
	return nil
}

func (st *story) do(ctx context.Context, s step) error {
	command := docker.Exec{Args: s.command, Stdout: st.stdout, Stderr: st.stdout}
	shown := "docker exec C " + strings.Join(s.command, " ")
	if s.input != "" {
		file, err := os.Open(s.input)
		if err != nil {
			return err
		}
		defer file.Close()
		command.Stdin = file
		shown = "docker exec -i C " + strings.Join(s.command, " ") + " < " + s.input
	}
	fmt.Fprintf(st.stdout, "\n$ %s\n", shown)
	status, err := st.node.Exec(ctx, command)
	if err == nil && status != 0 {
		err = fmt.Errorf("cannot %s: exit status %d\n%s", s.name, status, st.node.Logs(ctx))
	}
	if err != nil {
		return err
	}
	return st.awaitVersion(ctx, s.version)
}

// awaitVersion asks the service itself, not the agent, which version serves.
func (st *story) awaitVersion(ctx context.Context, version string) error {
	return st.node.Await(ctx, "version "+version+" serving", patience, func(ctx context.Context) error {
		got, err := get(ctx, "http://"+st.ip+":8080/version")
		if err == nil && got != version {
			err = fmt.Errorf("version %q serves", got)
		}
		return err
	})
}

func get(ctx context.Context, url string) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return strings.TrimSpace(string(body)), err
}
