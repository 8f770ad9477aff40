package family

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
)

// otp is a release that systools, reltool or relx has made. relx may leave templates: sys.config.src and vm.args.src.
type otp struct{}

// Environ sets what relx's own script does, for releases that ask.
func (otp) Environ(_ context.Context, r Release, base []string) ([]string, error) {
	return with(base, map[string]string{
		"RELEASE_ROOT_DIR": r.Root, "REL_NAME": r.Name, "RELEASE_NAME": r.Name, "RELEASE_VSN": r.Version,
	}), nil
}

// Launch has the release's name for its boot script where older relx made it.
func (otp) Launch(r Release, _ []string) (Launch, error) {
	l := Launch{Boot: "start", Mode: "embedded"}
	if exists(filepath.Join(r.Dir, r.Name+".boot")) {
		l.Boot = r.Name
	}
	if vmArgs := filepath.Join(r.Dir, "vm.args"); exists(vmArgs) {
		l.VMArgs = vmArgs
	}
	return l, nil
}

// Command is none: relx's own script renders its templates from its caller's environment.
func (otp) Command(Release, Node) []byte { return nil }

// Resolve fills in the templates.
func (otp) Resolve(_ context.Context, r Release, environ []string) (Resolved, error) {
	var all Resolved
	for _, name := range []string{"sys.config", "vm.args"} {
		template, there, err := r.read(name + ".src")
		if err != nil {
			return Resolved{}, fmt.Errorf("cannot read %s.src: %w", name, err)
		}
		if !there {
			continue
		}
		content, unset, err := render(string(template), environ)
		if err != nil {
			return Resolved{}, fmt.Errorf("cannot fill in %s.src: %w", name, err)
		}
		all.Files = append(all.Files, File{Name: name, Content: []byte(content)})
		all.Unset = append(all.Unset, unset...)
	}
	slices.Sort(all.Unset)
	all.Unset = slices.Compact(all.Unset)
	return all, nil
}

// What refers to itself would grow without an end.
const (
	mostRounds = 100
	mostBytes  = 16 << 20
)

// render puts the environment into a template as relx's script does (relx: extended_bin, replace_os_vars): ${NAME} and
// ${NAME:-default} are replaced as text, without any quoting, until none is left. What has no value and no default is empty,
// and named.
func render(template string, environ []string) (text string, unset []string, err error) {
	text = template
	for range mostRounds {
		var replaced bool
		if text, replaced = renderOnce(text, environ, &unset); !replaced {
			return text, unset, nil
		}
		if len(text) > mostBytes {
			break
		}
	}
	return "", nil, errors.New("variables refer to each other in a circle")
}

func renderOnce(text string, environ []string, unset *[]string) (string, bool) {
	var b strings.Builder
	replaced := false
	for {
		before, rest, found := strings.Cut(text, "${")
		inside, after, closed := strings.Cut(rest, "}")
		if !found || !closed {
			b.WriteString(text)
			return b.String(), replaced
		}
		name, standby, hasDefault := strings.Cut(inside, ":-")
		value := Lookup(environ, name)
		if value == "" && !hasDefault {
			*unset = append(*unset, name)
		}
		if value == "" {
			value = standby
		}
		b.WriteString(before)
		b.WriteString(value)
		text, replaced = after, true
	}
}

// Lookup finds a variable in an environment; it is empty where it is not set.
func Lookup(environ []string, name string) string {
	for _, kv := range environ {
		if key, value, _ := strings.Cut(kv, "="); key == name {
			return value
		}
	}
	return ""
}

// with sets variables in a copy of an environment.
func with(environ []string, set map[string]string) []string {
	env := slices.DeleteFunc(slices.Clone(environ), func(kv string) bool {
		name, _, _ := strings.Cut(kv, "=")
		_, replaced := set[name]
		return replaced
	})
	for name, value := range set {
		env = append(env, name+"="+value)
	}
	slices.Sort(env)
	return env
}
