package repack

import (
	"slices"
	"strings"

	"theseus/rpc/term"
)

// RelupFrom is the Edit that leaves of a package's relup the ways from and to one version. A relup that cannot be read stays as it is.
func RelupFrom(version string) Edit {
	return func(name string, content []byte) (string, []byte) {
		if strings.HasSuffix(name, "/relup") {
			if t, err := term.ParseOne(content); err == nil {
				content = []byte(term.Format(onlyWays(t, version)) + ".\n")
			}
		}
		return name, content
	}
}

// onlyWays edits {To, [{From, Descr, Instructions}], [{From, Descr, Instructions}]} (sasl: relup(4)).
func onlyWays(relup term.Term, version string) term.Term {
	parts, ok := relup.(term.Tuple)
	if !ok || len(parts) != 3 {
		return relup
	}
	edited := term.Tuple{parts[0]}
	for _, ways := range parts[1:] {
		list, _ := ways.(term.List)
		edited = append(edited, slices.DeleteFunc(slices.Clone(list), func(way term.Term) bool {
			edge, _ := way.(term.Tuple)
			from, _ := term.AsString(edge[0])
			return from != version
		}))
	}
	return edited
}
