package agent

import (
	"context"
	"fmt"
	"path/filepath"

	"theseus/agent/api"
	"theseus/volume"
)

// Remote tells what a shell of the node needs. Who may ask for it can have the node do everything as it is.
func (a *agent) Remote(ctx context.Context) (api.Remote, error) {
	node, err := a.keeper.current()
	if err != nil {
		return api.Remote{}, &api.Error{Code: api.CodeNodeDown, Message: fmt.Sprintf("cannot open a shell: %v", err)}
	}
	at, err := node.target.Resolve(ctx)
	if err != nil {
		return api.Remote{}, &api.Error{Code: api.CodeNodeDown, Message: fmt.Sprintf("cannot open a shell: %v", err)}
	}
	_, release := a.keeper.snapshot()
	image, err := DetectImage()
	if err != nil {
		return api.Remote{}, err
	}
	r := api.Remote{
		Node: node.target.Node, Short: node.reach.Short, Host: at.IP.String(), Port: at.Port, Dist: node.reach.Dist, Cookie: node.target.Cookie,
		Release: a.volume.ReleaseDir(release.Version), Lib: a.volume.Path("lib"),
	}
	r.Lang = language(r.Release)
	err = shellErlang(&r, a.volume, release, image)
	return r, err
}

// shellErlang finds an Erlang that boots nothing but itself: the release's, or else the image's.
func shellErlang(r *api.Remote, v *volume.Volume, release volume.Release, image volume.Image) error {
	r.Root, r.Bindir = v.Root(), v.Path("erts-"+release.ERTS, "bin")
	for _, name := range []string{"start_clean", "no_dot_erlang"} {
		if r.Boot = filepath.Join(r.Release, name); exists(r.Boot + ".boot") {
			return nil
		}
	}
	r.Root, r.Bindir = image.OTPRoot, filepath.Join(image.OTPRoot, "erts-"+image.ERTS, "bin")
	if r.Boot = filepath.Join(image.OTPRoot, "bin", "start_clean"); image.OTPRoot != "" && exists(r.Boot+".boot") {
		return nil
	}
	return &api.Error{
		Code: api.CodeNotFound, Message: "cannot open a shell: neither the release nor the image has a start_clean.boot",
		Hint: "agent eval needs none",
	}
}

// language is what people write who made the release: Elixir where mix did.
func language(release string) string {
	if exists(filepath.Join(release, "iex")) {
		return api.Elixir
	}
	return api.Erlang
}
