package api

import (
	"context"
	"fmt"
)

// Difference is one thing of a node that is not as it should be.
type Difference struct {
	Kind        string `json:"kind"`                  // a stable word: docs/drift.md
	Application string `json:"application,omitempty"` // that it belongs to
	Subject     string `json:"subject"`               // a module, application:key, a path in a supervision tree, …
	Want        string `json:"want,omitempty"`
	Got         string `json:"got,omitempty"`
}

// String is one line for people.
func (d Difference) String() string {
	text := d.Kind + " " + d.Subject
	switch {
	case d.Want == "" && d.Got == "":
		return text
	case d.Want == "":
		return fmt.Sprintf("%s: it is %s", text, d.Got)
	case d.Got == "":
		return fmt.Sprintf("%s: it should be %s", text, d.Want)
	}
	return fmt.Sprintf("%s: it is %s, and should be %s", text, d.Got, d.Want)
}

// Drift answers GET /v1/drift: in what the node is not the release that it runs.
type Drift struct {
	Name        string       `json:"name"`
	Version     string       `json:"version"`
	Modules     int          `json:"modules"`     // that are loaded, and were compared
	Differences []Difference `json:"differences"` // at most some hundred of a kind
	More        int          `json:"more,omitempty"`
	Unknown     []string     `json:"unknown,omitempty"` // what could not be looked at
	Drifted     bool         `json:"drifted"`           // some of them is more than worth knowing
}

// Drift compares the node with its release.
func (c *Client) Drift(ctx context.Context) (Drift, error) {
	return get[Drift](ctx, c, "/v1/drift")
}
