package family

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
)

// otp is a release that systools, reltool or relx has made. relx may leave templates: sys.config.src and vm.args.src.
type otp struct{}

// Environ sets what relx's own script does, for releases and templates that ask.
func (otp) Environ(_ context.Context, r Release, base []string) ([]string, error) {
	return with(base, map[string]string{
		"RELEASE_ROOT_DIR": r.Root, "REL_NAME": r.Name, "RELEASE_NAME": r.Name, "RELEASE_VSN": r.Version,
		"ROOTDIR": r.Root, "BINDIR": filepath.Join(r.Root, "erts-"+r.ERTS, "bin"), "EMU": "beam", "PROGNAME": "erl",
	}), nil
}

// Launch has the release's name for its boot script where older relx made it, and the cookie of relx's script.
func (otp) Launch(r Release, environ []string) (Launch, error) {
	l := Launch{Boot: "start", Mode: "embedded", Cookie: Lookup(environ, "RELX_COOKIE")}
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

// templates are the files that may be one, each with what begins a comment in it.
var templates = []struct{ name, comment string }{{"sys.config", "%"}, {"vm.args", "#"}}

// Resolve fills in the templates.
func (otp) Resolve(_ context.Context, r Release, environ []string) (Resolved, error) {
	var all Resolved
	for _, of := range templates {
		if slices.Contains(r.Brought, of.name) {
			continue
		}
		template, there, err := r.read(of.name + ".src")
		if err != nil {
			return Resolved{}, fmt.Errorf("cannot read %s.src: %w", of.name, err)
		}
		if !there {
			continue
		}
		filling := rendering{environ: environ, comment: of.comment}
		content, err := filling.render(string(template))
		if err != nil {
			return Resolved{}, fmt.Errorf("cannot fill in %s.src: %w", of.name, err)
		}
		all.Files = append(all.Files, File{Name: of.name, Content: []byte(content)})
		all.Unset = append(all.Unset, filling.unset...)
	}
	slices.Sort(all.Unset)
	all.Unset = slices.Compact(all.Unset)
	return all, nil
}

// What refers to itself would go on, and grow, without an end.
const (
	mostReplaced = 1000
	mostBytes    = 1 << 20
)

// rendering puts the environment into templates as relx's script does (relx: extended_bin, replace_os_vars): in each line
// ${NAME} and ${NAME:-default} are replaced as text, without any quoting, until none is left, and each line ends with a new
// line. A default is taken for what is empty, too. What has no value and no default is empty, and named, unless the line
// is a comment.
type rendering struct {
	environ []string
	comment string
	unset   []string
}

func (r *rendering) render(template string) (string, error) {
	var b strings.Builder
	n := 0
	for line := range strings.Lines(template) {
		n++
		line, err := r.line(strings.TrimSuffix(line, "\n"))
		if err != nil {
			return "", fmt.Errorf("line %d: %w", n, err)
		}
		b.WriteString(line + "\n")
	}
	return b.String(), nil
}

func (r *rendering) line(line string) (string, error) {
	isComment := strings.HasPrefix(strings.TrimSpace(line), r.comment)
	last := ""
	for range mostReplaced {
		_, rest, opened := strings.Cut(line, "${")
		inside, _, closed := strings.Cut(rest, "}")
		if !opened || !closed {
			return line, nil
		}
		if len(line) > mostBytes {
			break
		}
		value, there := r.value(inside)
		if !there && !isComment {
			r.unset = append(r.unset, inside)
		}
		last = "${" + inside + "}"
		line = strings.ReplaceAll(line, last, value)
	}
	return "", fmt.Errorf("%.100s leads back to itself", last)
}

// value is what stands for a variable, and whether it has one or a default.
func (r *rendering) value(inside string) (value string, there bool) {
	name, standby, hasDefault := strings.Cut(inside, ":-")
	value = Lookup(r.environ, name)
	if value == "" {
		return standby, hasDefault
	}
	return value, true
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
