package proof

import (
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"theseus/agent/api"
	"theseus/agent/printable"
)

const hostile = "</td><script>alert(1)</script><img src=x onerror=alert(1)>\"'&<!--\x00\x1b[31m\xff"

// evil is a report in which all text is of somebody who wants the reader's browser.
func evil() api.Report {
	begun, three := time.Date(2026, 1, 2, 15, 4, 5, 0, time.UTC), int64(3)
	return api.Report{
		ID: hostile, Kind: hostile, Began: begun,
		Plan:   map[string]any{"verdict": hostile, "suspended": []any{hostile}},
		Result: &api.Result{Outcome: hostile, Name: hostile, From: hostile, To: hostile, Warnings: []string{hostile}, Error: &api.Error{Message: hostile, State: hostile}, Duration: 2 * time.Second},
		Steps: []api.Step{
			{Time: begun.Add(time.Second), Took: time.Second, Kind: hostile, Message: hostile},
			{Time: begun.Add(1500 * time.Millisecond), Kind: hostile, Message: hostile, Beside: true},
			{Time: begun.Add(2 * time.Second), Took: time.Second, Kind: hostile, Message: hostile},
		},
		Pictures: []api.Picture{{Moment: hostile, Version: hostile, PID: 7, Processes: &three, OldCode: []api.OldCode{{Module: hostile, Processes: 3}}, Unread: 1}},
		Seen: &api.Seen{
			Instructions: []api.Instruction{{Text: hostile}}, Suspended: []api.Suspension{{Module: hostile}}, Reports: []string{hostile},
		},
		Lost: &api.Lost{Up: time.Hour, Processes: &three},
	}
}

// written is the page of a report.
func written(t *testing.T, r api.Report) string {
	t.Helper()
	var page strings.Builder
	if err := Page(&page, r); err != nil {
		t.Fatal(err)
	}
	return page.String()
}

func parse(t *testing.T, page string) *html.Node {
	t.Helper()
	root, err := html.Parse(strings.NewReader(page))
	if err != nil {
		t.Fatal(err)
	}
	return root
}

// TestAPageIsWhatWeWroteWhateverIsInIt: a browser sees the elements and attributes of this package alone, and nothing that it
// would fetch or run.
func TestAPageIsWhatWeWroteWhateverIsInIt(t *testing.T) {
	isOurs(t, parse(t, written(t, evil())))
}

func isOurs(t *testing.T, root *html.Node) {
	t.Helper()
	known := strings.Fields("html head meta style title body h1 h2 p table thead tbody tr th td svg rect")
	attributes := strings.Fields("lang charset http-equiv content name class viewBox preserveAspectRatio role aria-hidden x y width height")
	texts := 0
	for n := range root.Descendants() {
		switch n.Type {
		case html.ElementNode:
			if !slices.Contains(known, n.Data) {
				t.Errorf("there is an element %s", n.Data)
			}
			for _, a := range n.Attr {
				if !slices.Contains(attributes, a.Key) || strings.Contains(a.Val, "//") {
					t.Errorf("%s has %s=%q", n.Data, a.Key, a.Val)
				}
			}
		case html.TextNode:
			texts += strings.Count(n.Data, "<script>alert(1)</script>")
			if n.Parent.Data == "style" && strings.Contains(n.Data, "url(") {
				t.Error("the style fetches something")
			}
		case html.CommentNode:
			t.Errorf("there is a comment %q", n.Data)
		}
	}
	if texts < 20 {
		t.Errorf("the text is there only %d times", texts)
	}
}

func TestTheTimelineShowsWhenAStepWasAndHowLongItTook(t *testing.T) {
	var bars []string
	for n := range parse(t, written(t, evil())).Descendants() {
		if n.Data == "rect" {
			bars = append(bars, n.Attr[0].Val+" "+n.Attr[2].Val)
		}
	}
	if got := strings.Join(bars, ", "); got != "0.00 50.00, 75.00 1.00, 50.00 50.00" {
		t.Errorf("the bars are %s", got)
	}
}

func TestTextForATerminalIsMadeSafeThere(t *testing.T) {
	var text strings.Builder
	if err := Text(&text, evil()); err != nil {
		t.Fatal(err)
	}
	for line := range strings.SplitSeq(text.String(), "\n") {
		if line != printable.Text(line) {
			t.Errorf("%q is not", line)
		}
	}
	if !strings.Contains(text.String(), printable.Text(hostile)) {
		t.Errorf("nobody's text is in it:\n%s", text.String())
	}
}
