package volume

import (
	"errors"
	"fmt"
)

// Code is a stable word for why a package was refused.
type Code string

// The codes of PackageError.
const (
	NotAPackage        Code = "not-a-package"       // not a gzip'd tar
	Truncated          Code = "truncated"           // it ends too early
	Damaged            Code = "damaged"             // checksums do not match, or bytes follow its end
	UnsafePath         Code = "unsafe-path"         // a name or a link leads out, or is no name at all
	UnsafeEntry        Code = "unsafe-entry"        // a device, a setuid file, a file that is there twice
	TooLarge           Code = "too-large"           // beyond Limits
	NoSpace            Code = "no-space"            // the volume has no room for it
	NoRelease          Code = "no-rel"              // no .rel file that can be used
	BadRelease         Code = "bad-rel"             // a .rel that cannot be read
	WrongName          Code = "wrong-name"          // a release of another name
	WrongVersion       Code = "wrong-version"       // its directory and its .rel disagree, or it holds several
	Incomplete         Code = "incomplete"          // a file is missing that a boot needs
	BadConfig          Code = "bad-config"          // sys.config is missing or is no configuration
	BadRelup           Code = "bad-relup"           // a relup that cannot be read
	ConflictingLib     Code = "conflicting-lib"     // an application is on the volume with other content
	ConflictingRelease Code = "conflicting-release" // the version is on the volume with other content
	NeedsImage         Code = "needs-image"         // it needs an OTP that the image does not have
)

// PackageError is the refusal of a package: nothing but its stage was touched.
type PackageError struct {
	Code    Code
	Package string // what it is, in words: "demo 1.1.0"; empty when nothing is known of it
	Err     error
}

func (e *PackageError) Error() string {
	if e.Package == "" {
		return "cannot use the package: " + e.Err.Error()
	}
	return fmt.Sprintf("cannot use %s: %v", e.Package, e.Err)
}

func (e *PackageError) Unwrap() error { return e.Err }

func refuse(code Code, format string, args ...any) *PackageError {
	return &PackageError{Code: code, Err: fmt.Errorf(format, args...)}
}

// about tells in a refusal which release or package it concerns, and in any other error what was tried.
func about(subject string, err error) error {
	var refusal *PackageError
	switch {
	case err == nil:
		return nil
	case !errors.As(err, &refusal):
		return fmt.Errorf("cannot use %s: %w", subject, err)
	case refusal.Package == "":
		refusal.Package = subject
	}
	return err
}

// DamageError names the first file that is not what was unpacked.
type DamageError struct {
	Version string
	Path    string // below the root
	Reason  string
}

func (e *DamageError) Error() string {
	return fmt.Sprintf("release %s is damaged: %s %s", e.Version, e.Path, e.Reason)
}
