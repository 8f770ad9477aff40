package control_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"theseus/agent/api"
	"theseus/agent/control"
)

// says is an evaluation that prints and then has a value, in parts that cut characters.
func says(printed, value string, err error) *fake {
	return &fake{eval: func(_ api.EvalRequest, to control.Transcript) error {
		for _, part := range strings.SplitAfter(printed, "\n") {
			if part == "" {
				continue
			}
			if err := to.Print([]byte(part)); err != nil {
				return err
			}
		}
		for i := range len(value) {
			if _, err := to.Write([]byte(value[i : i+1])); err != nil {
				return err
			}
		}
		return err
	}}
}

func TestATranscriptIsTextOrLinesOfJSON(t *testing.T) {
	for _, c := range []struct{ as, printed, value, want string }{
		{api.AsPretty, "", "{ok,\"ż\"}", "{ok,\"ż\"}\n"},
		{api.AsPretty, "one\ntwo", "ok", "one\ntwo\nok\n"},
		{api.AsPretty, "one\n", "ok", "one\nok\n"},
		{api.AsJSON, "", `{"a":[1]}`, "{\"result\":{\"a\":[1]}}\n"},
		{api.AsJSON, "one\n\"ż", `"<ż>"`, "{\"output\":\"one\\n\"}\n{\"output\":\"\\\"ż\"}\n{\"result\":\"<ż>\"}\n"},
	} {
		var out bytes.Buffer
		err := api.NewClient(serve(t, own(), says(c.printed, c.value, nil))).Eval(t.Context(), api.EvalRequest{As: c.as}, &out)
		if diff := cmp.Diff(c.want, out.String()); diff != "" || err != nil {
			t.Errorf("%v\n%s", err, diff)
		}
	}
}

func TestWithoutTheHeaderForTextAResultIsAStringOfJSON(t *testing.T) {
	body := raw(t, serve(t, own(), says("one\n", `<<"ż">> `+"\n", nil)), "POST", "/v1/eval", "{}")
	for _, line := range []string{`{"output":"one\n"}`, `{"result":"<<\"ż\">> \n"}`} {
		if !strings.Contains(body, line+"\n") {
			t.Errorf("no %s in %q", line, body)
		}
	}
}

func TestAnErrorBehindTheBeginningOfAnAnswerArrives(t *testing.T) {
	want := &api.Error{Code: api.CodeException, Message: "exception error: ż\n  in function  lists:nth/2", State: "now"}
	for _, c := range []struct {
		as, printed, value, body string
		late                     bool
	}{
		{api.AsPretty, "", "", "", false},
		{api.AsJSON, "", "", "", false},
		{api.AsPretty, "one\n", "", "one\n", true},
		{api.AsJSON, "one\n", "", "{\"output\":\"one\\n\"}\n{\"error\":", true},
		{api.AsPretty, "", "{half", "{half", true},
		{api.AsJSON, "", "[1,", "{\"result\":[1,", true},
	} {
		var out bytes.Buffer
		err := api.NewClient(serve(t, own(), says(c.printed, c.value, want))).Eval(t.Context(), api.EvalRequest{As: c.as}, &out)
		var got *api.Error
		if !errors.As(err, &got) || !cmp.Equal(want, got) || errors.As(err, new(*api.LateError)) != c.late || !strings.HasPrefix(out.String(), c.body) {
			t.Errorf("%v: got %q, %v", c, out.String(), err)
		}
	}
}

func TestALongErrorBehindTheBeginningOfAnAnswerArrives(t *testing.T) {
	for size, want := range map[int]string{
		100_000: strings.Repeat("\x01", 100_000),
		400_000: strings.Repeat("\x01", 128<<10) + "… and more",
	} {
		late := &api.Error{Code: api.CodeException, Message: strings.Repeat("\x01", size)}
		var out bytes.Buffer
		err := api.NewClient(serve(t, own(), says("one\n", "", late))).Eval(t.Context(), api.EvalRequest{As: api.AsPretty}, &out)
		var got *api.Error
		if !errors.As(err, &got) || got.Message != want || out.String() != "one\n" {
			t.Errorf("of %d bytes: %.200v", size, err)
		}
	}
}

func TestASourceOf512KiBArrivesWhateverIsInIt(t *testing.T) {
	var got string
	f := &fake{eval: func(req api.EvalRequest, _ control.Transcript) error { got = req.Source; return nil }}
	c := api.NewClient(serve(t, own(), f))
	for _, part := range []string{"<", "&", "\x01", "\""} {
		want := strings.Repeat(part, 512<<10)
		if err := c.Eval(t.Context(), api.EvalRequest{Source: want}, io.Discard); err != nil || got != want {
			t.Errorf("%q: got %d bytes, %v", part, len(got), err)
		}
	}
}

func TestAResultOfAnySizeGoesThrough(t *testing.T) {
	part := bytes.Repeat([]byte("<ż>\n"), 10<<10)
	f := &fake{rpc: func(_ api.RPCRequest, to control.Transcript) error {
		for range 1000 {
			if _, err := to.Write(part); err != nil {
				return err
			}
		}
		return nil
	}}
	in, out := io.Pipe()
	socket, failed := serve(t, own(), f), make(chan error, 1)
	go func() {
		err := api.NewClient(socket).RPC(t.Context(), api.RPCRequest{}, out)
		failed <- err
		out.CloseWithError(err)
	}()
	n, err := io.Copy(io.Discard, in)
	if want := int64(1000*len(part) + 1); n != want || err != nil || <-failed != nil {
		t.Errorf("got %d bytes, not %d: %v", n, want, err)
	}
	body := raw(t, socket, "POST", "/v1/rpc", "{}")
	if len(body) < 1000*len(part) {
		t.Errorf("got %d bytes", len(body))
	}
}

func TestWhatAShellNeedsIsAnswered(t *testing.T) {
	remote, err := api.NewClient(serve(t, own(), &fake{})).Remote(t.Context())
	if text, _ := json.Marshal(remote); err != nil || remote.Node != "demo@127.0.0.1" {
		t.Errorf("got %s, %v", text, err)
	}
}
