package systemd

import (
	"path/filepath"
	"testing"
	"time"
)

// short is TimeoutStartSec or TimeoutStopSec of the units below: less than what they take, so that they live on the
// agent's word.
const short = 10 * time.Second

func TestTheUnitIsReadyWithTheNodeReloadsWithAnUpgradeAndStopsInOrder(t *testing.T) {
	m := launch(t, "TimeoutStartSec=10")
	m.systemctl("start", "shop")
	m.is("active/running: cnt 1.0.0 runs")
	for _, name := range []string{"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"} {
		if got := m.agent("rpc", "os", "getenv", `["`+name+`", "none"]`); got != `"none"` {
			t.Errorf("the node has %s=%s", name, got)
		}
	}
	m.agent("rpc", "cnt", "next")

	upgrade := m.command(agent(t), "upgrade", "--settle", (2 * short).String(), filepath.Join(packages(t), "cnt-1.1.0.tar.gz"))
	if err := upgrade.Start(); err != nil {
		t.Fatal(err)
	}
	m.is("reloading/reload: cnt 1.1.0 runs; upgrade to 1.1.0: probation")
	if err := upgrade.Wait(); err != nil {
		t.Fatal(err)
	}
	m.is("active/running: cnt 1.1.0 runs")
	if got := m.agent("rpc", "cnt", "next"); got != `{"1.1.0",2}` {
		t.Errorf("it counts %s", got)
	}
	if n := m.property("NRestarts"); n != "0" {
		t.Errorf("%s restarts", n)
	}

	m.systemctl("stop", "shop")
	m.over()
	m.results("success")
}

func TestAStopFromInsideIsSeenAndMayTakeItsTime(t *testing.T) {
	m := launch(t, "TimeoutStopSec=10", "Environment=AGENT_STOP_TIMEOUT=1m")
	m.systemctl("start", "shop")
	node := m.node()
	m.run("kill", "-STOP", node)
	begun := time.Now()
	m.agent("stop")
	m.is("deactivating/stop-sigterm: cnt 1.0.0 is stopping")
	m.eventually("twice its time is over", func() bool { return time.Since(begun) > 2*short })
	m.is("deactivating/stop-sigterm: cnt 1.0.0 is stopping")
	m.run("kill", "-CONT", node)
	m.over()
	m.results("success")
}

func TestASlowBootOutlivesTheTimeoutAndTheNodeItselfSaysWhenItIsReady(t *testing.T) {
	m := launch(t, "TimeoutStartSec=10", "Environment=AGENT_NODE_NOTIFY=on")
	begun := time.Now()
	m.systemctl("start", "--no-block", "shop")
	m.is("activating/start: cnt 1.0.0 is booting")
	m.eventually("it is called", func() bool {
		return m.command(agent(t), "rpc", "cnt", "say", `["STATUS=warm"]`).Run() == nil
	})
	m.eventually("twice its time is over", func() bool { return time.Since(begun) > 2*short })
	m.is("activating/start: cnt 1.0.0 is booting; node: warm")
	m.agent("rpc", "cnt", "say", `["READY=1"]`)
	m.is("active/running: cnt 1.0.0 runs; node: warm")
}

func TestANodeThatHangsIsStartedAnewByTheWatchdog(t *testing.T) {
	m := launch(t, "WatchdogSec=20", "RestartSec=10ms")
	m.systemctl("start", "shop")
	m.eventually("the watchdog was fed", func() bool {
		return m.moment("WatchdogTimestampMonotonic") > m.moment("ActiveEnterTimestampMonotonic")
	})
	m.run("kill", "-STOP", m.node())
	m.eventually("the unit was restarted", func() bool { return m.property("NRestarts") == "1" })
	m.is("active/running: cnt 1.0.0 runs")
	m.results("watchdog")
}
