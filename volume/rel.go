package volume

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"theseus/rpc/term"
)

// parseRel reads a release resource file (sasl: rel(4)):
//
//	{release, {Name, Version}, {erts, Version}, [{App, Version} | {App, Version, Type} | …]}.
func parseRel(text []byte) (Release, error) {
	t, err := onlyTerm(text)
	if err != nil {
		return Release{}, err
	}
	tuple, ok := t.(term.Tuple)
	if !ok || len(tuple) != 4 || tuple[0] != term.Atom("release") {
		return Release{}, errors.New("it is not {release, {Name, Version}, {erts, Version}, Applications}")
	}
	var r Release
	if r.Name, r.Version, err = textPair(tuple[1]); err != nil {
		return r, fmt.Errorf("its name and version: %w", err)
	}
	if isReserved(r.Version) {
		return r, fmt.Errorf("its version %q is the name of a record of OTP", r.Version)
	}
	erts, ok := tuple[2].(term.Tuple)
	if !ok || len(erts) != 2 || erts[0] != term.Atom("erts") {
		return r, errors.New("it names no ERTS")
	}
	if r.ERTS, ok = term.AsString(erts[1]); !ok || !isFileName(r.ERTS) {
		return r, errors.New("its ERTS version cannot be used")
	}
	r.Libs, err = parseLibs(tuple[3])
	return r, err
}

func textPair(t term.Term) (name, version string, err error) {
	pair, ok := t.(term.Tuple)
	if !ok || len(pair) != 2 {
		return "", "", errors.New("not {Name, Version}")
	}
	name, isName := term.AsString(pair[0])
	version, isVersion := term.AsString(pair[1])
	if !isName || !isVersion || !isFileName(name) || !isFileName(version) {
		return "", "", fmt.Errorf("%.100s cannot be used", term.Format(t))
	}
	return name, version, nil
}

func parseLibs(t term.Term) ([]Lib, error) {
	list, ok := t.(term.List)
	if !ok || len(list) == 0 {
		return nil, errors.New("it names no applications")
	}
	var libs []Lib
	seen := map[string]bool{}
	for _, item := range list {
		tuple, ok := item.(term.Tuple)
		if !ok || len(tuple) < 2 || len(tuple) > 4 {
			return nil, fmt.Errorf("%.100s is not an application", term.Format(item))
		}
		app, isAtom := tuple[0].(term.Atom)
		version, isText := term.AsString(tuple[1])
		if !isAtom || !isText || !isFileName(string(app)) || !isFileName(version) {
			return nil, fmt.Errorf("%.100s is not an application", term.Format(item))
		}
		if seen[string(app)] {
			return nil, fmt.Errorf("it names the application %s twice", app)
		}
		seen[string(app)] = true
		libs = append(libs, Lib{App: string(app), Version: version, Type: libType(tuple)})
	}
	return libs, nil
}

// includedBy reads which applications another one includes in its resource file (kernel: app(4)). A file that is none
// includes nothing here; a boot will tell.
func includedBy(text []byte) []string {
	t, _ := onlyTerm(text)
	app, _ := t.(term.Tuple)
	if len(app) != 3 {
		return nil
	}
	keys, _ := app[2].(term.List)
	var names []string
	for _, key := range keys {
		pair, _ := key.(term.Tuple)
		if len(pair) != 2 || pair[0] != term.Atom("included_applications") {
			continue
		}
		list, _ := pair[1].(term.List)
		for _, item := range list {
			if name, ok := item.(term.Atom); ok {
				names = append(names, string(name))
			}
		}
	}
	return names
}

// libType is the third element, which may also be the list of included applications.
func libType(tuple term.Tuple) string {
	if len(tuple) < 3 {
		return ""
	}
	if kind, ok := tuple[2].(term.Atom); ok && kind != "permanent" {
		return string(kind)
	}
	return ""
}

// isReserved tells whether releases/<version> would be in the way of what OTP or the agent writes there, or be removed
// with what OTP leaves there, also where a file system does not tell A from a.
func isReserved(version string) bool {
	version = strings.ToLower(version)
	return strings.HasPrefix(version, HybridPrefix) || strings.HasSuffix(version, ".rel") ||
		slices.Contains([]string{"releases", "start_erl.data", NextFile, "cookie"}, version)
}

// isFileName accepts what can be one component of a path. Beyond that names and versions are opaque: "+" and
// "-" are legal.
func isFileName(s string) bool {
	return s != "" && len(s) <= 200 && s[0] != '.' && !strings.ContainsAny(s, "/\\") && !strings.ContainsFunc(s, isControl)
}
