// Package agent is what runs as PID 1: it prepares the volume, decides what to boot (boot.go), launches the
// node and keeps it (launch.go, keeper.go), and answers on the control socket, where upgrades are asked for.
package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"theseus/agent/api"
	"theseus/agent/control"
	"theseus/agent/heart"
	"theseus/agent/metrics"
	"theseus/agent/notify"
	"theseus/agent/upgrade"
	"theseus/signals"
	"theseus/volume"
)

// agent is one run.
type agent struct {
	config    Config
	version   string
	since     time.Time
	log       *slog.Logger
	init      *signals.Init
	volume    *volume.Volume
	journal   *journal
	chronicle *chronicle
	counters  metrics.Counters
	turns     turns
	keeper    *keeper
	engine    *upgrade.Engine
	comparing sync.Mutex               // held while the node is compared with its release
	boot      atomic.Pointer[decision] // nil until it was taken
	stop      context.CancelFunc
	upgrades  context.Context // ends when the agent is told to stop
}

// Run is the life of PID 1. It returns the status to exit with: the node's own, or 1 with an error that says
// why there was no node. version is the agent's.
func Run(ctx context.Context, c Config, environ []string, version string, log *slog.Logger) (int, error) {
	since := time.Now()
	init, err := signals.New(log)
	if err != nil {
		return 1, err
	}
	v, err := volume.OpenAs(c.Volume, version)
	if err != nil {
		return 1, err
	}
	defer func() {
		if err := v.Close(); err != nil {
			log.Error("cannot close the volume", "err", err)
		}
	}()
	v.Limits = c.Limits
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	a := &agent{
		config: c, version: version, since: since, log: log, init: init, volume: v,
		journal: &journal{log: log, volume: v}, stop: stop, upgrades: ctx,
	}
	return a.run(ctx, environ)
}

// run starts the actors, keeps the node, and waits for all of them.
func (a *agent) run(ctx context.Context, environ []string) (int, error) {
	if err := makeRunDir(a.config.RunDir); err != nil {
		return 1, err
	}
	a.keeper = newKeeper(a.config, notify.Strip(environ), a.volume, a.init, a.journal)
	notifier := a.notifier(ctx)
	a.chronicle = &chronicle{volume: a.volume, log: a.log, life: a.life}
	a.journal.shows, a.journal.hears = notifier.Stir, func(e api.Event) {
		notifier.Record(e)
		a.chronicle.note(e)
		a.counters.Record(e)
	}
	var actors sync.WaitGroup
	life, end := context.WithCancel(context.WithoutCancel(ctx)) // reaps and answers while the node stops, too
	actors.Go(func() { a.report("the reaper", a.init.Run(life)) })
	actors.Go(func() { a.listen(life) })
	defer actors.Wait()
	defer end()
	defer a.stop()

	image, err := DetectImage()
	if err != nil {
		return 1, err
	}
	a.engine = a.newEngine(image, environ)
	a.turns.limit = a.config.StopTimeout + betweenNodes
	if a.config.MetricsAddr != "" {
		actors.Go(func() { metrics.Serve(life, a.config.MetricsAddr, a, metricsRetry, a.log) })
	}
	actors.Go(func() { notifier.Run(life, ctx) })
	actors.Go(func() { notifier.Watch(life, a.vigil().alive) })
	listener, err := control.Listen(ctx, a.config.Socket())
	if err != nil {
		return 1, err
	}
	defer os.Remove(a.config.Socket())
	policy := control.Policy{Own: uint32(os.Getuid()), UID: a.config.AllowUIDs}
	actors.Go(func() { a.report("the control socket", control.Serve(life, listener, policy, a, a.log)) })

	a.checkKeys()
	a.checkGates()
	a.endAbandoned(ctx)
	boot, err := a.prepare(ctx, image)
	if ctx.Err() != nil {
		a.log.Info("the agent was told to stop before it launched a node")
		return 0, nil
	}
	if err != nil {
		return 1, err
	}
	status, err := a.keeper.run(ctx, boot.version)
	a.stop()
	end() // of the socket before the engine: an upload that stalls would hold it up
	a.engine.Close()
	return status, err
}

// newEngine is what carries out upgrades, with all that they touch.
func (a *agent) newEngine(image volume.Image, environ []string) *upgrade.Engine {
	return &upgrade.Engine{
		Volume: a.volume, Keeper: a.keeper, Image: image, Settle: a.config.Settle, Within: a.config.CommitWithin,
		Boot: a.config.BootTimeout, Stop: a.config.StopTimeout, Record: a.record, Over: a.journal.stir,
		Trust: a.config.Trust(), RefuseDowngrade: a.config.RefusesDowngrade(), Keep: a.config.Keep,
		TolerateDrift: a.config.Drift == DriftWarns,
		Configure:     a.keeper.Configure,
		Starts:        a.keeper.Starts,
		Gates:         a.gatesOf(environ).Read,
		Derive:        a.derive(image), AlwaysDerive: a.config.DerivedRelups,
	}
}

// endAbandoned ends a node that still runs on the volume, which is this agent's alone now: an agent that is killed where it
// is not PID 1 leaves one behind. It would write into the release root, and hold the ports that the next node needs.
func (a *agent) endAbandoned(ctx context.Context) {
	brief, cancel := context.WithTimeout(ctx, lastThings)
	defer cancel()
	if pids := signals.EndAbandoned(brief, heart.Variable, a.volume.Root()); len(pids) > 0 {
		a.journal.note("node.abandoned", fmt.Sprintf("the agent before was killed and its node ran on; it is killed too, processes: %d", len(pids)),
			map[string]any{"pids": pids})
	}
}

// report tells of an actor that ended with an error. It ends nothing: only a request to stop or the node's
// end may end PID 1.
func (a *agent) report(actor string, err error) {
	if err != nil {
		a.log.Error(actor+" ended; the node runs on", "err", err)
	}
}

// DetectImage finds the image's OTP from the erl on the PATH; where there is none the image has none.
func DetectImage() (volume.Image, error) {
	erl, err := exec.LookPath("erl")
	if errors.Is(err, exec.ErrNotFound) {
		return volume.Image{}, nil // a release may bring its own ERTS
	}
	if err != nil {
		return volume.Image{}, fmt.Errorf("cannot find the image's OTP: %w", err)
	}
	return volume.DetectImage(erl)
}

// Version tells which agent this is.
func (a *agent) Version() api.Version {
	return api.Version{Version: a.version, Go: runtime.Version()}
}
