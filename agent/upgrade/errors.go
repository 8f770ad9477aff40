package upgrade

import (
	"errors"
	"fmt"

	"theseus/agent/api"
	"theseus/agent/trust"
	"theseus/rpc"
	"theseus/volume"
)

// refuse is the error of a request that cannot be done, whatever is tried.
func refuse(code, format string, args ...any) *api.Error {
	return &api.Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// isRefusal tells a request that cannot be done from one that went wrong.
func isRefusal(err error) bool {
	var refusal *api.Error
	var pkg *volume.PackageError
	var handler *rpc.ReleaseError
	var distrust *trust.Error
	return errors.As(err, &refusal) || errors.As(err, &pkg) || errors.As(err, &handler) || errors.As(err, &distrust)
}

// ownFault is an error of the agent or of its disk, and none of the release.
type ownFault struct{ error }

func (e ownFault) Unwrap() error { return e.error }

// condemns tells whether an upgrade that ended for this says that its release is no good: such a one goes into quarantine. What
// was permanent before is not judged by a rollback to it.
func (a *attempt) condemns(cause error) bool {
	if a.kind == volume.KindRollback || errors.Is(cause, errTakenBack) || errors.As(cause, new(ownFault)) {
		return false
	}
	told, is := errors.AsType[*api.Error](cause)
	return !is || told.Code != codeNotCommitted
}

// codeNotCommitted is of what nobody has committed in time.
const codeNotCommitted = "not-committed"

// explain gives every error its stable code, and names what the user named.
func (a *attempt) explain(err error) *api.Error {
	var refusal *api.Error
	var pkg *volume.PackageError
	var handler *rpc.ReleaseError
	var distrust *trust.Error
	switch {
	case errors.As(err, &distrust):
		return &api.Error{Code: string(distrust.Code), Message: fmt.Sprintf("cannot use %s: %v", a.label, distrust), Hint: distrust.Hint}
	case errors.As(err, &refusal):
		copied := *refusal
		return &copied
	case errors.As(err, &pkg):
		return &api.Error{Code: string(pkg.Code), Message: fmt.Sprintf("cannot use %s: %v", a.label, pkg.Err)}
	case errors.Is(err, errStopping):
		return &api.Error{Code: api.CodeStopping, Message: err.Error()}
	case errors.As(err, &handler):
		return &api.Error{Code: handler.Code(), Message: handler.Error()}
	case errors.Is(err, errTakenBack):
		return &api.Error{Code: "taken-back", Message: a.describeRelease(a.to) + " was taken back, as was asked for"}
	case errors.Is(err, errNodeEnded):
		return &api.Error{Code: "node-ended", Message: err.Error()}
	}
	return &api.Error{Code: api.CodeInternal, Message: err.Error()}
}
