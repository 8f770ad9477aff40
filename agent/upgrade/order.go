package upgrade

import (
	"cmp"
	"regexp"
	"slices"
	"strings"
)

// checkOrder refuses an older version than what runs. Versions that cannot be compared are as good as any other.
func (a *attempt) checkOrder() error {
	order, known := compareVersions(a.to, a.from)
	if a.mayGoDown || !known || order >= 0 {
		return nil
	}
	e := refuse("downgrade", "cannot %s: it is older than %s, which runs", a.goal(a.to), a.from)
	e.Hint = "--allow-downgrade allows it; agent rollback goes back to a release that is on the volume"
	return e
}

// IsOlder says that a version comes before another one, as far as they can be compared.
func IsOlder(version, than string) bool {
	order, known := compareVersions(version, than)
	return known && order < 0
}

// versionForm is what has an order: numbers with dots, perhaps a v before them, and what semantic versioning and rebar3
// put behind.
var versionForm = regexp.MustCompile(`^v?([0-9]+(?:\.[0-9]+)*)(?:-([0-9A-Za-z.-]+))?(?:\+[0-9A-Za-z.+-]*)?$`)

// compareVersions tells which of two versions comes first, where both are of the usual form: numbers by their value,
// missing ones are 0, 1.0.0-rc.1 comes before 1.0.0, and what follows a plus says nothing.
func compareVersions(x, y string) (order int, known bool) {
	a, b := versionForm.FindStringSubmatch(x), versionForm.FindStringSubmatch(y)
	if a == nil || b == nil {
		return 0, false
	}
	return cmp.Or(compareNumbers(a[1], b[1]), comparePre(a[2], b[2])), true
}

func compareNumbers(x, y string) int {
	a, b := strings.Split(x, "."), strings.Split(y, ".")
	for len(a) < len(b) {
		a = append(a, "0")
	}
	for len(b) < len(a) {
		b = append(b, "0")
	}
	return slices.CompareFunc(a, b, compareNumber)
}

// compareNumber takes numbers of any length.
func compareNumber(x, y string) int {
	x, y = strings.TrimLeft(x, "0"), strings.TrimLeft(y, "0")
	return cmp.Or(cmp.Compare(len(x), len(y)), cmp.Compare(x, y))
}

// comparePre orders what follows the hyphen, as semver.org has it in its item 11.
func comparePre(x, y string) int {
	switch {
	case x == y:
		return 0
	case x == "":
		return 1
	case y == "":
		return -1
	}
	return slices.CompareFunc(strings.Split(x, "."), strings.Split(y, "."), func(a, b string) int {
		switch isA, isB := isNumber(a), isNumber(b); {
		case isA && isB:
			return compareNumber(a, b)
		case isA:
			return -1
		case isB:
			return 1
		}
		return cmp.Compare(a, b)
	})
}

func isNumber(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }
