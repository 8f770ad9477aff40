package source

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"time"

	"theseus/agent/api"
)

// Pace is how long a source is waited for.
type Pace struct {
	Stall    time.Duration // for an answer, or the next byte; then another connection is tried
	Patience time.Duration // for the next leastBytes, over all connections; then the source is given up
	Pause    time.Duration // before the second try; then twice as long each time
	Longest  time.Duration // of these pauses
}

// DefaultPace gives a source up before the agent would give up who sends it a package, which is after a minute.
var DefaultPace = Pace{Stall: 15 * time.Second, Patience: 45 * time.Second, Pause: 250 * time.Millisecond, Longest: 8 * time.Second}

// leastBytes are what must come of a package while patience lasts, or the rest of it. Else a source that sends a byte now
// and then would be waited for without end.
const leastBytes = 64 << 10

// effort is what has been spent on a source since something has come from it.
type effort struct {
	Pace
	name    string
	retried func(string)

	tries  int
	reason error         // of the last try that ended with another one than a stall
	waited time.Duration // for the source; who reads from it may take his time
	came   int64
}

func (o Options) effort(name string) *effort {
	return &effort{Pace: o.Pace, name: name, retried: o.Retried}
}

// got notes bytes that came, and how long that took.
func (e *effort) got(n int, took time.Duration) {
	e.came += int64(n)
	e.waited += took
	if e.came >= leastBytes {
		e.came, e.waited, e.tries, e.reason = 0, 0, 0, nil
	}
}

// spent is the end of a source that sends, but next to nothing.
func (e *effort) spent() error {
	if e.waited < e.Patience {
		return nil
	}
	return lost("", "cannot read %s: only %d bytes came in %s", e.name, e.came, e.waited.Round(time.Second))
}

// do repeats what fails for reasons that pass, as long as patience lasts.
func (e *effort) do(ctx context.Context, act func(context.Context) error) error {
	for {
		begun := time.Now()
		err := e.once(ctx, act)
		e.waited += time.Since(begun)
		if err == nil {
			return nil
		}
		if err := e.pause(ctx, err); err != nil {
			return err
		}
	}
}

// once gives an act as much time as a stall.
func (e *effort) once(ctx context.Context, act func(context.Context) error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, e.stall(), errStalled)
	defer cancel()
	err := act(ctx)
	if err != nil && errors.Is(context.Cause(ctx), errStalled) {
		return errStalled
	}
	return err
}

// stall is how long the next byte may take: no longer than patience lasts.
func (e *effort) stall() time.Duration { return min(e.Stall, max(e.Patience-e.waited, 0)) }

var errStalled = errors.New("it does not answer")

// pause waits before the next try. Its error ends the effort.
func (e *effort) pause(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return lost("", "cannot read %s: %v", e.name, context.Cause(ctx))
	}
	after, passes := passing(err)
	if !passes {
		return e.final(err)
	}
	if !errors.Is(err, errStalled) {
		e.reason = err
	}
	pause := max(after, e.backoff())
	if e.waited+pause > e.Patience {
		return e.givenUp(err, after)
	}
	e.tries++
	if e.retried != nil {
		e.retried(fmt.Sprintf("%s: %v; again in %s", e.name, plain(err), pause.Round(10*time.Millisecond)))
	}
	e.waited += pause
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return lost("", "cannot read %s: %v", e.name, context.Cause(ctx))
	case <-timer.C:
		return nil
	}
}

// backoff doubles with each try, and differs between clients that were all cut off at once.
func (e *effort) backoff() time.Duration {
	pause := min(e.Pause<<min(e.tries, 16), e.Longest)
	return pause/2 + rand.N(pause)
}

func (e *effort) givenUp(err error, after time.Duration) error {
	if after > 0 {
		return lost("", "cannot read %s: %v, and not before %s have passed", e.name, plain(err), after)
	}
	why := plain(err).Error()
	if e.reason != nil && errors.Is(err, errStalled) { // the end of patience cuts a try short, which looks like a stall
		why = fmt.Sprintf("%v, and the last try had no answer", plain(e.reason))
	}
	return lost("", "cannot read %s: %s; it was tried %d times in %s", e.name, why, e.tries+1, e.waited.Round(time.Second))
}

// final is an error that a second try would only repeat.
func (e *effort) final(err error) error {
	var told *api.Error
	var refused *statusError
	var certificate *tls.CertificateVerificationError
	switch {
	case errors.As(err, &told):
		return told
	case errors.As(err, &refused):
		return noPackage(refused.hint(), "cannot read %s: %v", e.name, err)
	case errors.As(err, &certificate):
		return noPackage("SSL_CERT_FILE names a file with the authorities to trust, which an image without ca-certificates lacks", "cannot read %s: %v", e.name, plain(err))
	}
	return noPackage("", "cannot read %s: %v", e.name, plain(err))
}

// passing says whether an error may be over at the next try, and how long the source asks to be left alone.
func passing(err error) (after time.Duration, passes bool) {
	var refused *statusError
	var name *net.DNSError
	var network net.Error
	switch {
	case errors.As(err, &refused):
		return refused.after, refused.passes()
	case errors.As(err, &name) && name.IsNotFound:
		return 0, false
	case errors.As(err, new(*api.Error)), errors.As(err, new(*tls.CertificateVerificationError)), errors.As(err, new(tls.RecordHeaderError)):
		return 0, false
	}
	return 0, errors.Is(err, errStalled) || errors.As(err, new(*brokenError)) || errors.As(err, &network) // as all of a http.Client's are
}

// brokenError is the end of a connection in the middle of what came over it.
type brokenError struct{ error }

func (e *brokenError) Unwrap() error { return e.error }

// plain takes the URL out of an error, which may have secrets in it.
func plain(err error) error {
	if where := (*url.Error)(nil); errors.As(err, &where) {
		err = where.Err
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New("the connection was cut")
	}
	return err
}

// statusError is an answer that is no package.
type statusError struct {
	status int
	after  time.Duration // that it asks for before the next try
}

func (e *statusError) Error() string {
	return fmt.Sprintf("it answers %d %s", e.status, http.StatusText(e.status))
}

func (e *statusError) passes() bool {
	switch e.status {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests, http.StatusInternalServerError,
		http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}

func (e *statusError) hint() string {
	if e.status == http.StatusUnauthorized || e.status == http.StatusForbidden {
		return "a user is named in the URL, in .netrc (https) or in docker's config.json (oci)"
	}
	return ""
}
