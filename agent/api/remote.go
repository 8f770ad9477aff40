package api

import "context"

// Remote is what a shell of the node needs, which is a node of its own beside it (POST /v1/remote). The cookie is a secret:
// keep it out of command lines, environments and logs.
type Remote struct {
	Node   string   `json:"node"`            // its name
	Short  bool     `json:"short,omitempty"` // which is a short one (-sname)
	Host   string   `json:"host"`            // where it listens for distribution
	Port   int      `json:"port"`
	Dist   []string `json:"dist,omitempty"` // arguments by which a node speaks its protocol, TLS for instance
	Cookie string   `json:"cookie"`

	Lang    string `json:"lang"`    // Erlang or Elixir
	Release string `json:"release"` // directory of its boot scripts and programs

	// The Erlang that the shell runs on.
	Root   string `json:"root"`
	Bindir string `json:"bindir"`
	Boot   string `json:"boot"` // of nothing but kernel and stdlib, without .boot
	Lib    string `json:"lib"`  // what boot scripts call RELEASE_LIB
}

// Remote asks for what a shell of the node needs.
func (c *Client) Remote(ctx context.Context) (Remote, error) {
	return call[Remote](ctx, c, "/v1/remote", struct{}{})
}
