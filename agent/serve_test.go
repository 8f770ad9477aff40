package agent

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"theseus/agent/api"
	"theseus/rpc"
)

func TestACallThatIsLateIsToldFromOneThatWasNotMade(t *testing.T) {
	late := context.DeadlineExceeded
	for _, c := range []struct {
		err                 error
		wanted              time.Duration
		code, message, hint string
	}{
		{fmt.Errorf("%w: %w", rpc.ErrUnknownOutcome, late), time.Minute, api.CodeTimeout, "cannot tell what became of m:f: no answer within 1m0s", "--timeout allows more, up to 1h0m0s"},
		{fmt.Errorf("%w: %w", rpc.ErrUnknownOutcome, late), 2 * time.Hour, api.CodeTimeout, "cannot tell what became of m:f: no answer within 1h0m0s", ""},
		{fmt.Errorf("%w: %w", rpc.ErrUnknownOutcome, late), 0, api.CodeTimeout, "cannot tell what became of m:f: no answer within 15s", "--timeout allows more, up to 1h0m0s"},
		{fmt.Errorf("%w: %w", rpc.ErrNotSent, rpc.ErrNoTerm), time.Minute, api.CodeBadRequest, "the call was not sent: an argument is no term", ""},
		{fmt.Errorf("%w: %w", rpc.ErrNotSent, late), time.Minute, api.CodeNodeDown, "the call was not sent: context deadline exceeded", ""},
	} {
		got := rpcError(api.RPCRequest{Module: "m", Function: "f"}, callTimeout(c.wanted), c.err)
		if got.Code != c.code || got.Message != c.message || got.Hint != c.hint {
			t.Errorf("%v: %+v", c.err, got)
		}
	}
}

func TestAnUpgradeThatLeadsNowhereYetSaysWhatItWaitsFor(t *testing.T) {
	for want, u := range map[string]api.Upgrade{
		"7 from 1.0.0 is under way: requested, its package is coming":                 {ID: "7", Kind: "upgrade", State: "requested", From: "1.0.0"},
		"8 from 1.0.0 is under way: requested, its package is coming":                 {ID: "8", Kind: "unpack", State: "requested", From: "1.0.0"},
		"7 from 1.0.0 is under way: received":                                         {ID: "7", Kind: "upgrade", State: "received", From: "1.0.0"},
		"9 from 1.0.0 is under way: requested":                                        {ID: "9", Kind: "rollback", State: "requested", From: "1.0.0"},
		"5 is under way: a release is removed":                                        {ID: "5", Kind: "removal", State: "requested", From: "1.0.0"},
		"7 from 1.0.0 to 1.1.0 is under way: checked":                                 {ID: "7", State: "checked", From: "1.0.0", To: "1.1.0"},
		"7 from 1.0.0 to 1.3.0 over 1.1.0, 1.2.0 is under way: installing":            {ID: "7", State: "installing", From: "1.0.0", To: "1.3.0", Via: []string{"1.1.0", "1.2.0"}},
		"7 from 1.0.0 to 1.1.0 is under way: probation; agent rollback takes it back": {ID: "7", State: "probation", From: "1.0.0", To: "1.1.0", Revocable: true},
		"7 from 1.0.0 to 1.1.0 waits until 2026-01-02 15:04:05 UTC: agent commit makes 1.1.0 permanent, agent rollback takes it back": {
			ID: "7", State: "probation", From: "1.0.0", To: "1.1.0", CommitBy: time.Date(2026, 1, 2, 15, 4, 5, 0, time.UTC),
		},
	} {
		if got := u.String(); got != want {
			t.Errorf("got %q", got)
		}
	}
}

func TestNothingBeginsBeforeTheBootIsDecided(t *testing.T) {
	a := &agent{}
	_, removed := a.Remove(t.Context(), "1.0.0")
	for what, err := range map[string]error{
		"remove":   removed,
		"upgrade":  a.Upgrade(t.Context(), api.UpgradeRequest{}, nil, nil),
		"rollback": a.Rollback(t.Context(), api.RollbackRequest{}, nil),
		"unpack":   a.Unpack(t.Context(), api.UpgradeRequest{}, nil, nil),
		"install":  a.Install(t.Context(), api.InstallRequest{}, nil),
		"commit":   a.Commit(t.Context(), api.CommitRequest{}, nil),
	} {
		if e := new(api.Error); !errors.As(err, &e) || e.Code != api.CodeBusy || !strings.Contains(e.Message, "what boots is not decided yet") {
			t.Errorf("%s: %v", what, err)
		}
	}
}
