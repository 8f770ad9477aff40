package gate

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"time"

	"theseus/agent/etc"
	"theseus/agent/plugin/host"
)

// Defaults of a gate.
const (
	defaultRetries  = 2
	defaultInterval = 5 * time.Second
	defaultTimeout  = 5 * time.Second
)

// Source is where gates come from, and what they need.
type Source struct {
	File      string // read for each upgrade; the default one may be missing
	Volume    string // the node can write it: nothing that is trusted may be there
	host.Host        // runs commands, and asks plugins
}

// file is the form of the configuration. Each gate is a table with the table of one kind in it.
type file struct {
	Settle duration        `toml:"settle"`
	Gates  map[string]spec `toml:"gates"`
}

type spec struct {
	When     []When   `toml:"when"`
	Retries  *int     `toml:"retries"`
	Interval duration `toml:"interval"`
	Timeout  duration `toml:"timeout"`

	HTTP     *httpKind     `toml:"http"`
	TCP      *tcpKind      `toml:"tcp"`
	Exec     *execKind     `toml:"exec"`
	RPC      *rpcKind      `toml:"rpc"`
	Crashes  *crashesKind  `toml:"crashes"`
	Restarts *restartsKind `toml:"restarts"`
	Memory   *memoryKind   `toml:"memory"`
	Mailbox  *mailboxKind  `toml:"mailbox"`
	Logs     *logsKind     `toml:"logs"`
	Plugin   *pluginKind   `toml:"plugin"`
}

// kind is one of the tables of a gate.
type kind interface {
	// gate makes the question, or says what is wrong with the table.
	gate(Source) (ask, error)
}

// duration is written as Go writes it, and is more than nothing.
type duration time.Duration

// UnmarshalText reads it.
func (d *duration) UnmarshalText(text []byte) error {
	parsed, err := time.ParseDuration(string(text))
	if err == nil && parsed <= 0 {
		err = errors.New("it is no time at all")
	}
	*d = duration(parsed)
	return err
}

// Read reads the gates. An image without the default file has none.
func (s Source) Read() (Set, error) {
	text, err := etc.Text(s.File, s.Volume)
	if errors.Is(err, fs.ErrNotExist) && s.File == etc.Gates {
		return Set{}, nil
	}
	if err != nil {
		return Set{}, fmt.Errorf("cannot read the gates: %w", err)
	}
	set, err := s.parse(text)
	if err != nil {
		return Set{}, fmt.Errorf("cannot use the gates of %s: %w", s.File, err)
	}
	return set, nil
}

// parse names what is wrong.
func (s Source) parse(text []byte) (Set, error) {
	var f file
	if err := etc.Decode(text, &f); err != nil {
		return Set{}, err
	}
	set := Set{Settle: time.Duration(f.Settle)}
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(f.Gates)) {
		g, err := f.Gates[name].build(s, name)
		if err != nil {
			errs = append(errs, fmt.Errorf("gate %q: %w", name, err))
		}
		set.Gates = append(set.Gates, g)
	}
	return set, errors.Join(errs...)
}

// kinds are the tables that a gate has, by name.
func (s spec) kinds() map[string]kind {
	all := map[string]kind{}
	add(all, "http", s.HTTP)
	add(all, "tcp", s.TCP)
	add(all, "exec", s.Exec)
	add(all, "rpc", s.RPC)
	add(all, "crashes", s.Crashes)
	add(all, "restarts", s.Restarts)
	add(all, "memory", s.Memory)
	add(all, "mailbox", s.Mailbox)
	add(all, "logs", s.Logs)
	add(all, "plugin", s.Plugin)
	return all
}

func add[K any, P interface {
	*K
	kind
}](all map[string]kind, name string, table P) {
	if table != nil {
		all[name] = table
	}
}

func (s spec) build(from Source, name string) (Gate, error) {
	kinds := s.kinds()
	names := slices.Sorted(maps.Keys(kinds))
	if len(names) != 1 {
		return Gate{}, fmt.Errorf("it must have exactly one of http, tcp, exec, rpc, crashes, restarts, memory, mailbox, logs, plugin; it has %d", len(names))
	}
	g := Gate{
		Name: name, Kind: names[0], When: s.When, Retries: defaultRetries,
		Interval: cmp.Or(time.Duration(s.Interval), defaultInterval), Timeout: cmp.Or(time.Duration(s.Timeout), defaultTimeout),
	}
	if s.Retries != nil {
		g.Retries = *s.Retries
	}
	if len(g.When) == 0 {
		g.When = []When{After, Settle}
	}
	question, err := kinds[g.Kind].gate(from)
	if err != nil {
		return g, fmt.Errorf("%s: %w", g.Kind, err)
	}
	g.Ask = question
	return g, g.validate()
}

// counting are the kinds that compare with the moment of the installation.
var counting = []string{"crashes", "restarts", "memory", "mailbox", "logs"}

// Counts says that it compares with the moment of the installation.
func (g Gate) Counts() bool { return slices.Contains(counting, g.Kind) }

func (g Gate) validate() error {
	for _, when := range g.When {
		switch {
		case !slices.Contains([]When{Before, After, Settle}, when):
			return fmt.Errorf("cannot use when=%q: it is none of before, after, settle", when)
		case when == Before && g.Counts():
			return fmt.Errorf("%s counts from the installation, and cannot be asked before it", g.Kind)
		}
	}
	if g.Retries < 0 || g.Retries > 100 {
		return fmt.Errorf("cannot use retries=%d: it is no number from 0 to 100", g.Retries)
	}
	return nil
}
