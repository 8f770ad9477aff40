package source

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"

	"theseus/agent/etc"
	"theseus/agent/plugin/host"
	"theseus/agent/printable"
	"theseus/agent/trust"
	"theseus/signals"
)

// Plugins are what an image adds to the sources: NAME://REFERENCE is asked of the plugin NAME in its file.
type Plugins struct {
	File   string // read when a reference asks for it; the default one may be missing
	Volume string // the node can write it: neither the file nor a plugin may be there
	Env    []string
}

// sources is the form of the file.
type sources struct {
	Sources map[string]struct {
		Plugin *etc.Plugin `toml:"plugin"`
	} `toml:"sources"`
}

var (
	nameForm = regexp.MustCompile(`^[a-z][a-z0-9+.-]*$`)
	builtIn  = []string{"file", "http", "https", "oci", "oci+http"}
)

// read has the order to each plugin.
func (p Plugins) read() (map[string]host.Order, error) {
	text, err := etc.Text(p.File, p.Volume)
	if errors.Is(err, fs.ErrNotExist) && p.File == etc.Sources {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read the sources: %w", err)
	}
	orders, err := p.parse(text)
	if err != nil {
		return nil, fmt.Errorf("cannot use the sources of %s: %w", p.File, err)
	}
	return orders, nil
}

func (p Plugins) parse(text []byte) (map[string]host.Order, error) {
	var s sources
	if err := etc.Decode(text, &s); err != nil {
		return nil, err
	}
	orders := map[string]host.Order{}
	for _, name := range slices.Sorted(maps.Keys(s.Sources)) {
		table := s.Sources[name].Plugin
		switch {
		case !nameForm.MatchString(name):
			return nil, fmt.Errorf("source %q: it is no scheme such as s3", name)
		case slices.Contains(builtIn, name):
			return nil, fmt.Errorf("source %q: that is the agent's own", name)
		case table == nil:
			return nil, fmt.Errorf("source %q: it has no plugin", name)
		}
		order, err := table.Order(p.Volume)
		if err != nil {
			return nil, fmt.Errorf("source %q: %w", name, err)
		}
		orders[name] = order
	}
	return orders, nil
}

// openPlugin is for what is built in nowhere.
func (o Options) openPlugin(ctx context.Context, ref string) (*Package, error) {
	name, scheme := Redact(ref), schemeOf(ref)
	orders, err := o.Plugins.read()
	if err != nil {
		return nil, noPackage("", "cannot read %s: %v", name, err)
	}
	order, known := orders[scheme]
	if !known {
		return nil, noPackage("a package is FILE, DIRECTORY, -, http://, https://, oci:// or what a plugin in "+o.Plugins.File+" fetches", "cannot read %q: nothing is known of %s://", name, scheme)
	}
	ref, digest, fragment := strings.Cut(ref, "#sha256=")
	if fragment {
		if err := o.readFragment("sha256="+digest, name); err != nil {
			return nil, err
		}
	}
	if o.Release != "" {
		return nil, noPackage("", "cannot look for release %s in %s: it is no directory", o.Release, name)
	}
	if err := o.protected(name); err != nil {
		return nil, err
	}
	o.Pace.Stall = o.Pace.Patience // it may have its own reasons to pause, and is not asked twice
	_, order.Reference, _ = strings.Cut(ref, "://")
	signature, err := o.signatureOf(ctx, order, name)
	if err != nil {
		return nil, err
	}
	content, err := o.fetchWith(ctx, order, name)
	if err != nil {
		return nil, err
	}
	return &Package{Name: name, SHA256: o.SHA256, Signature: signature, content: content}, nil
}

// signatureOf asks the plugin for REFERENCE.minisig, where it is asked for and nobody has named one.
func (o Options) signatureOf(ctx context.Context, order host.Order, name string) (string, error) {
	if o.Signature != "" || !o.Signed {
		return findSignature("", o.Signature)
	}
	order.Reference += trust.Suffix
	content, err := o.fetchWith(ctx, order, name+trust.Suffix)
	if err != nil {
		return "", err
	}
	defer content.Close()
	return trust.ReadSignatureFrom(content)
}

func (o Options) fetchWith(ctx context.Context, order host.Order, name string) (io.ReadCloser, error) {
	init, err := signals.New(slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, noPackage("", "cannot ask a plugin: %v", err)
	}
	effort := o.effort(name)
	asked := &asked{host.Host{Path: host.Beside(), Init: init, Env: o.Plugins.Env, Scratch: os.TempDir()}, order, effort}
	return openStream(ctx, asked, effort)
}

// asked is what a plugin is asked for.
type asked struct {
	host.Host
	order  host.Order
	effort *effort
}

func (a *asked) size() int64 { return 0 }

// open starts the plugin. It is gone when the body is closed.
func (a *asked) open(ctx context.Context, _ int64) (io.ReadCloser, int64, error) {
	ctx, cancel := context.WithCancel(ctx)
	read, write := io.Pipe()
	body := &fetched{PipeReader: read, end: cancel, ended: make(chan struct{})}
	go func() {
		defer close(body.ended)
		_ = write.CloseWithError(a.told(ctx, a.Fetch(ctx, a.order, write)))
	}()
	return body, 0, nil
}

// told says what went wrong.
func (a *asked) told(ctx context.Context, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(context.Cause(ctx), errStalled):
		return lost("", "cannot read %s: its plugin has sent nothing for %s", a.effort.name, a.effort.Patience)
	case ctx.Err() != nil:
		return err
	}
	return lost("", "cannot read %s: %s", a.effort.name, printable.Line(err.Error()))
}

// fetched is what comes from a plugin.
type fetched struct {
	*io.PipeReader
	end   context.CancelFunc
	ended chan struct{}
}

// Close ends the plugin with all that it has started.
func (f *fetched) Close() error {
	f.end()
	err := f.PipeReader.Close()
	<-f.ended
	return err
}
