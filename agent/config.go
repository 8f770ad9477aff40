package agent

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"theseus/agent/etc"
	"theseus/agent/family"
	"theseus/volume"
)

// SeedPolicy says what boots when the image brings a release that this volume has not seen.
type SeedPolicy string

// The policies.
const (
	SeedNewer  SeedPolicy = "newer"  // the image's release, once: a new image was rolled out on purpose
	SeedVolume SeedPolicy = "volume" // the volume's release, always
	SeedImage  SeedPolicy = "image"  // the image's release at every start
)

// Drift says what follows where the node is not what an upgrade should have made of it.
type Drift string

// The policies.
const (
	DriftReverts Drift = "revert"
	DriftWarns   Drift = "warn"
)

// Config is everything that the agent can be told. All of it has defaults that fit a container.
type Config struct {
	Volume        string        // release root, writable
	Seed          string        // the image's package: a file, or a directory that holds exactly one
	SeedPolicy    SeedPolicy    //
	RunDir        string        // private, on a tmpfs: socket, cookie
	StopTimeout   time.Duration // from TERM to KILL; below Docker's 10 s
	BootTimeout   time.Duration // from launch until all applications run
	Restart       RestartPolicy // what follows when the node ends and nobody asked for it
	RestartDelay  time.Duration // before the first restart of a row; each further one waits twice as long
	RestartLimit  int           // restarts in a row before the agent gives up; 0 is no limit
	BootAttempts  int           // boots of a newly permanent release before it is given up; 0 is never
	BootSpan      time.Duration // from the first to the last of them, at least
	HeartTimeout  time.Duration // a node whose beat is overdue by so much hangs; 0 is never
	Settle        time.Duration // how long an installed release is watched before it is made permanent
	CommitWithin  time.Duration // for somebody to commit a release that waits for that
	Nofile        uint64        // cap of the node's soft limit of open files; 0 leaves it
	DistPort      int           // of the node's distribution on loopback; 0 picks a free one at each boot
	NodeNotify    bool          // the node has a notify socket, and is up when it has said so there
	NodeWatchdog  time.Duration // it beats there within this; 0: it need not
	AllowUIDs     []uint32      // users beside root and the agent's own that may use the socket
	PublicKeys    string        // whose signatures a package needs: a file, or a directory of *.pub; empty: nobody's
	SignedSeed    bool          // the image's package needs a signature as well
	Downgrade     Downgrade     // whether an upgrade may lead to an older version
	Gates         string        // the file with what is asked before a release is made permanent
	Sources       string        // the file with the plugins that the command fetches packages with
	DerivedRelups bool          // for every package that has none
	Drift         Drift         // what follows where an upgrade did not change what it should have changed
	Keep          volume.Keep   // what stays of older releases
	Limits        volume.Limits // what a package may ask for
	MetricsAddr   string        // HOST:PORT on which everybody is told metrics; empty: nobody
	LogJSON       bool          // the agent's own lines on stderr as JSON
}

// variable is one environment variable that sets one field.
type variable struct {
	name, fallback, help string
	set                  func(*Config, string) error
}

// Variables are the names of the environment variables, with what they are for. In the order of the help.
var variables = []variable{
	{"AGENT_VOLUME", "/var/lib/release", "release root on the writable volume", absPath(func(c *Config) *string { return &c.Volume })},
	{"AGENT_SEED", "/usr/share/agent/seed", "the image's package, or the directory that holds it", absPath(func(c *Config) *string { return &c.Seed })},
	{"AGENT_SEED_POLICY", "newer", "what boots when the image brings an unknown release: newer, volume, image", seedPolicy},
	{"AGENT_RUN_DIR", "/run/agent", "private directory on a tmpfs for socket and cookie", absPath(func(c *Config) *string { return &c.RunDir })},
	{"AGENT_STOP_TIMEOUT", "7s", "from the request to stop until the node is killed", duration(func(c *Config) *time.Duration { return &c.StopTimeout })},
	{"AGENT_BOOT_TIMEOUT", "60s", "from launch until all applications run", duration(func(c *Config) *time.Duration { return &c.BootTimeout })},
	{"AGENT_RESTART", "", "when the node ends unasked: never, on-failure, always; unset is never, or on-failure where vm.args has -heart", restartPolicy},
	{"AGENT_RESTART_DELAY", "1s", "before the first restart in a row, twice as long before each further one, up to 1m", duration(func(c *Config) *time.Duration { return &c.RestartDelay })},
	{"AGENT_RESTART_LIMIT", "10", "restarts in a row before the agent ends with the node's status, 0 = no limit; 1m up begins anew", number(func(c *Config, n uint64) { c.RestartLimit = int(n) }, 1<<20)},
	{"AGENT_BOOT_ATTEMPTS", "3", "boots of a newly permanent release that never ran well before the one before it boots, 0 = no limit", number(func(c *Config, n uint64) { c.BootAttempts = int(n) }, 1<<20)},
	{"AGENT_BOOT_SPAN", "1m", "from the first to the last of these boots, at least: what it needs may be away for a while", duration(func(c *Config) *time.Duration { return &c.BootSpan })},
	{"AGENT_HEART_TIMEOUT", "60s", "how long a beat of the node's heart may be overdue until the node is ended, 10s or more; 0 = never", heartTimeout},
	{"AGENT_SETTLE", "2s", "how long an installed release is watched before it is made permanent, and a boot before it counts as good", duration(func(c *Config) *time.Duration { return &c.Settle })},
	{"AGENT_GATES", etc.Gates, "what is asked before, after and while an upgrade settles; never on the volume, nor open to writers; the default one may be missing", absPath(func(c *Config) *string { return &c.Gates })},
	{"AGENT_SOURCES", etc.Sources, "plugins that fetch packages, NAME://REFERENCE; never on the volume, nor open to writers; the default one may be missing", absPath(func(c *Config) *string { return &c.Sources })},
	{"AGENT_COMMIT_WITHIN", "1h", "until an upgrade with --no-commit that nobody has committed is taken back", commitWithin},
	{"AGENT_NOFILE", "65536", "cap of the node's soft limit of open files, 0 = leave", number(func(c *Config, n uint64) { c.Nofile = n }, 1<<40)},
	{"AGENT_DIST_PORT", "0", "loopback port of the node's distribution, 0 = any free one", number(func(c *Config, n uint64) { c.DistPort = int(n) }, 65535)},
	{"AGENT_NODE_NOTIFY", "off", "on: the node gets a NOTIFY_SOCKET of its own, and is up when it has said READY=1 there", nodeNotify},
	{"AGENT_NODE_WATCHDOG", "0s", "the node says WATCHDOG=1 there within this, 0 = it need not", duration(func(c *Config) *time.Duration { return &c.NodeWatchdog })},
	{"AGENT_ALLOW_UIDS", "", "more users that may use the socket: uids, separated by commas", allowUIDs},
	{"AGENT_PUBLIC_KEYS", "", "minisign keys, one of which must have signed a package: a file, or a directory of *.pub; never on the volume, nor open to writers", publicKeys},
	{"AGENT_SEED_SIGNATURE", "ignored", "whether the image's package needs a signature too, beside it: ignored, required", seedSignature},
	{"AGENT_DOWNGRADE", "", "an upgrade to an older version: allow, refuse; unset is allow, or refuse where AGENT_PUBLIC_KEYS is set", downgrade},
	{"AGENT_DERIVED_RELUPS", "ask", "whether a package without a relup gets one: ask, where the upgrade says --derived; allow, always", derivedRelups},
	{"AGENT_DRIFT", "revert", "where the node has other code after an upgrade than its release: revert, warn", driftPolicy},
	{"AGENT_KEEP_RELEASES", "3", "releases that stay on the volume, what boots and where a rollback leads among them, 0 = all", number(func(c *Config, n uint64) { c.Keep.Releases = int(n) }, 1<<20)},
	{"AGENT_KEEP_BYTES", "0", "bytes that they and their packages may have, beyond which older ones are removed, 0 = any", number(func(c *Config, n uint64) { c.Keep.Bytes = int64(n) }, 1<<60)},
	{"AGENT_PACKAGE_LIMITS", "", "what a package may have, where it differs: package=4G,unpacked=16G,files=200000,depth=32,name=1024,names=32M,ratio=100,text=4M", packageLimits},
	{"AGENT_METRICS_ADDR", "", "HOST:PORT for /metrics, /healthz and /readyz to everybody, such as :9464; unset: on the socket alone", metricsAddr},
	{"AGENT_LOG", "text", "the agent's own lines on stderr: text or json", logFormat},
}

// ConfigFrom reads the configuration from an environment as os.Environ returns it. Every variable that is
// wrong is named in the error.
func ConfigFrom(environ []string) (Config, error) {
	var c Config
	var errs []error
	for _, v := range variables {
		value := cmp.Or(family.Lookup(environ, v.name), v.fallback)
		if err := v.set(&c, value); err != nil {
			errs = append(errs, fmt.Errorf("cannot use %s=%q: %w", v.name, value, err))
		}
	}
	if c.NodeWatchdog > 0 && !c.NodeNotify {
		errs = append(errs, errors.New("cannot use AGENT_NODE_WATCHDOG without AGENT_NODE_NOTIFY=on: the node has nowhere to say WATCHDOG=1"))
	}
	if c.Volume != "" && inside(c.RunDir, c.Volume) {
		errs = append(errs, fmt.Errorf("cannot use AGENT_RUN_DIR=%q: it is on the volume, where neither the cookie nor the socket belongs", c.RunDir))
	}
	if c.SignedSeed && c.PublicKeys == "" {
		errs = append(errs, errors.New("cannot use AGENT_SEED_SIGNATURE=\"required\": AGENT_PUBLIC_KEYS names no keys"))
	}
	return c, errors.Join(errs...)
}

// Ignored are the names in an environment that look like a setting and are none: one may have been misspelt.
func Ignored(environ []string) []string {
	var names []string
	for _, kv := range environ {
		name, value, _ := strings.Cut(kv, "=")
		known := slices.ContainsFunc(variables, func(v variable) bool { return v.name == name })
		if strings.HasPrefix(name, "AGENT_") && value != "" && !known {
			names = append(names, name)
		}
	}
	return names
}

func inside(path, dir string) bool { return path == dir || strings.HasPrefix(path, dir+"/") }

// Help describes the variables, one a line.
func Help() string {
	var b strings.Builder
	for _, v := range variables {
		fmt.Fprintf(&b, "  %-20s %s (default %s)\n", v.name, v.help, strconv.Quote(v.fallback))
	}
	return b.String()
}

// Socket is the path of the control socket.
func (c Config) Socket() string { return filepath.Join(c.RunDir, "agent.sock") }

// SeedPackage finds the image's package. It is empty where the image brings none.
func (c Config) SeedPackage() (string, error) {
	info, err := os.Stat(c.Seed)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return "", nil
	case err != nil:
		return "", fmt.Errorf("cannot find the seed package: %w", err)
	case !info.IsDir():
		return c.Seed, nil
	}
	found, err := filepath.Glob(filepath.Join(c.Seed, "*.tar.gz"))
	if err != nil || len(found) > 1 {
		return "", fmt.Errorf("cannot choose a seed package: %s holds %d", c.Seed, len(found))
	}
	return strings.Join(found, ""), nil
}

func absPath(field func(*Config) *string) func(*Config, string) error {
	return func(c *Config, value string) error {
		if !filepath.IsAbs(value) {
			return errors.New("it is no absolute path")
		}
		*field(c) = filepath.Clean(value)
		return nil
	}
}

func duration(field func(*Config) *time.Duration) func(*Config, string) error {
	return func(c *Config, value string) error {
		d, err := time.ParseDuration(value)
		if err != nil || d < 0 {
			return errors.New("it is no duration such as 8s")
		}
		*field(c) = d
		return nil
	}
}

// commitWithin is never 0: a release that is not permanent would be forgotten.
func commitWithin(c *Config, value string) error {
	err := duration(func(c *Config) *time.Duration { return &c.CommitWithin })(c, value)
	if err == nil && c.CommitWithin == 0 {
		err = errors.New("it is no time at all")
	}
	return err
}

// heartTimeout has the least that heart itself has (erts: heart.c): a node beats every five seconds.
func heartTimeout(c *Config, value string) error {
	err := duration(func(c *Config) *time.Duration { return &c.HeartTimeout })(c, value)
	if err == nil && c.HeartTimeout != 0 && c.HeartTimeout < 2*beatEvery {
		err = fmt.Errorf("it is below %s: the node beats every %s", 2*beatEvery, beatEvery)
	}
	return err
}

func number(set func(*Config, uint64), limit uint64) func(*Config, string) error {
	return func(c *Config, value string) error {
		n, err := strconv.ParseUint(value, 10, 64)
		if err != nil || n > limit {
			return fmt.Errorf("it is no number from 0 to %d", limit)
		}
		set(c, n)
		return nil
	}
}

func seedPolicy(c *Config, value string) error {
	c.SeedPolicy = SeedPolicy(value)
	if !slices.Contains([]SeedPolicy{SeedNewer, SeedVolume, SeedImage}, c.SeedPolicy) {
		return errors.New("it is none of newer, volume, image")
	}
	return nil
}

func restartPolicy(c *Config, value string) error {
	c.Restart = RestartPolicy(value)
	if !slices.Contains([]RestartPolicy{RestartUnset, RestartNever, RestartOnFailure, RestartAlways}, c.Restart) {
		return errors.New("it is none of never, on-failure, always")
	}
	return nil
}

func nodeNotify(c *Config, value string) error {
	c.NodeNotify = value == "on"
	if value != "on" && value != "off" {
		return errors.New("it is none of on, off")
	}
	return nil
}

func allowUIDs(c *Config, value string) error {
	for field := range strings.SplitSeq(value, ",") {
		if field = strings.TrimSpace(field); field == "" {
			continue
		}
		uid, err := strconv.ParseUint(field, 10, 32)
		if err != nil {
			return fmt.Errorf("%q is no uid", field)
		}
		c.AllowUIDs = append(c.AllowUIDs, uint32(uid))
	}
	return nil
}

func derivedRelups(c *Config, value string) error {
	c.DerivedRelups = value == "allow"
	if value != "ask" && value != "allow" {
		return errors.New("it is none of ask, allow")
	}
	return nil
}

func driftPolicy(c *Config, value string) error {
	c.Drift = Drift(value)
	if !slices.Contains([]Drift{DriftReverts, DriftWarns}, c.Drift) {
		return errors.New("it is none of revert, warn")
	}
	return nil
}

func packageLimits(c *Config, value string) (err error) {
	c.Limits, err = volume.ParseLimits(value)
	return err
}

// metricsAddr has a port that can be named beforehand.
func metricsAddr(c *Config, value string) error {
	if value == "" {
		return nil
	}
	host, port, err := net.SplitHostPort(value)
	if n, bad := strconv.ParseUint(port, 10, 16); err != nil || bad != nil || n == 0 || strings.ContainsAny(host, " /") {
		return errors.New("it is no address such as :9464 or 127.0.0.1:9464")
	}
	c.MetricsAddr = value
	return nil
}

func logFormat(c *Config, value string) error {
	c.LogJSON = value == "json"
	if value != "json" && value != "text" {
		return errors.New("it is none of text, json")
	}
	return nil
}
