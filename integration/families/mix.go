package families

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"

	"theseus/integration/docker"
	"theseus/integration/mixdemo"
)

// Mix are the families of mixdemo. The setting is the container's where there is a runtime.exs.
func Mix() []Family {
	return []Family{
		mix(mixdemo.Plain, "mix release, without a configuration of the runtime", "{ok,4000}"),
		mix(mixdemo.Stock, "mix release, with runtime.exs and env.sh", "{ok,7777}"),
		mix(mixdemo.Umbrella, "mix release of an umbrella of two applications", "{ok,7777}"),
	}
}

func mix(kind mixdemo.Kind, made, port string) Family {
	name := "mix-" + string(kind)
	return Family{
		Name: name, Made: made, Environ: []string{"MIXDEMO_PORT=7777"},
		Packages: func(ctx context.Context, s *docker.Session, otp, dir string) error {
			building.Lock()
			defer building.Unlock()
			var progress bytes.Buffer
			set, err := mixdemo.Prepare(ctx, s, otp, &progress, kind)
			if err != nil {
				return fmt.Errorf("%w\n%s", err, progress.String())
			}
			for _, version := range []string{First, Second} {
				if err := copyFile(set.Package(kind, version), filepath.Join(dir, name+"-"+version+".tar.gz")); err != nil {
					return err
				}
			}
			return nil
		},
		Asks: Asks{
			Add:    []string{"Elixir.Mixdemo.Counter", "bump"},
			State:  []string{"sys", "get_state", "['Elixir.Mixdemo.Counter']"},
			Place:  []string{"application", "get_env", "[mixdemo,port]"},
			States: map[string]string{First: "1", Second: `#{count => 1,label => <<"upgraded">>}`},
			Here:   port,
		},
	}
}

func copyFile(from, to string) error {
	content, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, content, 0o644)
}
