package rpc

import (
	"context"
	"fmt"
	"time"

	"theseus/rpc/term"
)

// Release is a row of release_handler:which_releases/0.
type Release struct {
	Name, Version string
	Libs          []string // application directories, as kernel-8.5.3
	Status        Status
}

// Status is a release's, in release_handler's own words. On disk current is written as unpacked.
type Status string

// The statuses of a release.
const (
	Unpacked  Status = "unpacked"
	Current   Status = "current"
	Permanent Status = "permanent"
	Old       Status = "old"
)

// Installed is the good end of an install, or of its check.
type Installed struct {
	// From is the version in the relup's entry: the one that was running on the way up, but the one that
	// is wanted on the way down.
	From  string
	Descr string // the relup's own description; empty also when there is no relup to check
	// Restarting says that the node is about to restart its emulator and go on from there, as a relup with
	// restart_new_emulator has it ({continue_after_restart, From, Descr}).
	Restarting bool
}

// InstallOptions are those of release_handler:install_release/2. Zero leaves OTP's default.
type InstallOptions struct {
	CodeChangeTimeout time.Duration // for the code_change of one process; OTP's default is 5 s
	SuspendTimeout    time.Duration // for one process to stop; it is skipped silently if it does not, and runs on without code_change
	UpdatePaths       bool          // also change the code path of applications that change no module
}

// WhichReleases lists the releases that the node knows. It waits while an install runs.
func (n *Node) WhichReleases(ctx context.Context) ([]Release, error) {
	answer, err := n.Call(ctx, "release_handler", "which_releases")
	if err != nil {
		return nil, err
	}
	return rows(answer, 4, func(row term.Tuple) Release {
		r := Release{Name: words(row[0]), Version: words(row[1]), Status: Status(words(row[3]))}
		libs, _ := row[2].(term.List)
		for _, lib := range libs {
			r.Libs = append(r.Libs, words(lib))
		}
		return r
	})
}

// ReadReleases has release_handler start anew, since it reads its file only then (release_handler:init/1). Of a release that is
// installed and not permanent it knows nothing behind that.
func (n *Node) ReadReleases(ctx context.Context) error {
	for _, call := range []string{"terminate_child", "restart_child"} {
		answer, err := n.Call(ctx, "supervisor", call, term.Atom("sasl_sup"), term.Atom("release_handler"))
		if err != nil {
			return err
		}
		if t, failed := answer.(term.Tuple); failed && len(t) == 2 && t[0] == term.Atom("error") {
			return fmt.Errorf("cannot start release_handler anew: %s", term.Format(t[1]))
		}
	}
	return nil
}

// SetUnpacked makes a release known whose files stand under the release root (release_handler:set_unpacked/2).
func (n *Node) SetUnpacked(ctx context.Context, relFile string) error {
	_, err := n.releaseHandler(ctx, "set_unpacked", relFile, term.List{})
	return err
}

// CheckInstallRelease evaluates a relup up to its point of no return, purging old code first if purge is set
// (release_handler:check_install_release/2). It says nothing of configuration, nor of what code_change will do.
func (n *Node) CheckInstallRelease(ctx context.Context, version string, purge bool) (Installed, error) {
	opts := term.List{}
	if purge {
		opts = term.List{term.Atom("purge")}
	}
	return n.install(ctx, "check_install_release", version, opts)
}

// InstallRelease makes a release current (release_handler:install_release/2). A failure after the point of no
// return ends the node, which is better than OTP's default of restarting inside the same process: whoever
// supervises it sees it. The error then is a *ReleaseError or *BadRPCError, or wraps ErrUnknownOutcome; which
// release runs is to be observed. Give ctx a deadline longer than every process needs.
func (n *Node) InstallRelease(ctx context.Context, version string, o InstallOptions) (Installed, error) {
	opts := term.List{term.Tuple{term.Atom("error_action"), term.Atom("reboot")}}
	for _, limit := range []struct {
		name string
		d    time.Duration
	}{{"code_change_timeout", o.CodeChangeTimeout}, {"suspend_timeout", o.SuspendTimeout}} {
		if limit.d > 0 {
			opts = append(opts, term.Tuple{term.Atom(limit.name), limit.d.Milliseconds()})
		}
	}
	if o.UpdatePaths {
		opts = append(opts, term.Tuple{term.Atom("update_paths"), term.Atom("true")})
	}
	return n.install(ctx, "install_release", version, opts)
}

// MakePermanent makes the current release the one that boots (release_handler:make_permanent/1).
func (n *Node) MakePermanent(ctx context.Context, version string) error {
	_, err := n.releaseHandler(ctx, "make_permanent", version)
	return err
}

// SetRemoved forgets a release and leaves its files (release_handler:set_removed/1).
func (n *Node) SetRemoved(ctx context.Context, version string) error {
	_, err := n.releaseHandler(ctx, "set_removed", version)
	return err
}

func (n *Node) install(ctx context.Context, call, version string, opts term.List) (Installed, error) {
	answer, err := n.releaseHandler(ctx, call, version, opts)
	if err != nil {
		return Installed{}, err
	}
	t, ok := answer.(term.Tuple)
	if !ok || len(t) != 3 {
		return Installed{}, unexpected(answer)
	}
	return Installed{From: words(t[1]), Descr: words(t[2]), Restarting: t[0] == term.Atom("continue_after_restart")}, nil
}

// releaseHandler makes a call about a release and turns {error, Reason} into a *ReleaseError.
func (n *Node) releaseHandler(ctx context.Context, call, subject string, opts ...term.Term) (term.Term, error) {
	answer, err := n.Call(ctx, "release_handler", call, append([]term.Term{chars(subject)}, opts...)...)
	if err != nil {
		return nil, err
	}
	if t, ok := answer.(term.Tuple); ok && len(t) == 2 && t[0] == term.Atom("error") {
		return nil, &ReleaseError{Call: call, Version: subject, Reason: t[1]}
	}
	return answer, nil
}

// chars is s as Erlang has it: the empty string is the empty list.
func chars(s string) term.Term {
	if s == "" {
		return term.List{}
	}
	return term.String(s)
}

// words is a string or atom without quotes, and any other term as Erlang prints it.
func words(t term.Term) string {
	if s, ok := term.AsString(t); ok {
		return s
	}
	if a, ok := t.(term.Atom); ok {
		return string(a)
	}
	return term.Format(t)
}

// rows reads a list of tuples of at least size elements.
func rows[T any](answer term.Term, size int, read func(term.Tuple) T) ([]T, error) {
	list, ok := answer.(term.List)
	if !ok {
		return nil, unexpected(answer)
	}
	all := make([]T, 0, len(list))
	for _, e := range list {
		row, ok := e.(term.Tuple)
		if !ok || len(row) < size {
			return nil, unexpected(answer)
		}
		all = append(all, read(row))
	}
	return all, nil
}

func unexpected(answer term.Term) error {
	return fmt.Errorf("cannot read the node's answer: %.200s", term.Format(answer))
}
