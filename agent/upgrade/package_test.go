package upgrade

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"theseus/agent/api"
)

// second is the package that leads from demo 1.0.0 to 1.1.0.
func second() files { return demo("1.1.0", "1.0.0") }

// TestPackagesThatLeadNowhereChangeNothing: end compares the disk with what it was.
func TestPackagesThatLeadNowhereChangeNothing(t *testing.T) {
	release := "releases/1.1.0/"
	whole := second().pack(t)
	for _, c := range []struct {
		about string
		pkg   []byte
		want  string
	}{
		{"nothing at all", nil, "received: refused not-a-package"},
		{"no tarball", []byte("it was a dark and stormy night"), "received: refused not-a-package"},
		{"half of one", whole[:len(whole)/2], "received: refused truncated"},
		{"one with bytes behind it", append(bytes.Clone(whole), "and more"...), "received: refused damaged"},
		{"another release", second().with(release+"demo.rel", `{release,{"other","1.1.0"},{erts,"13.1.5"},[{kernel,"8.5.3"}]}.`).pack(t), "received: refused wrong-name"},
		{"no configuration", second().without(release + "sys.config").pack(t), "received: refused bad-config"},
		{"a relup to elsewhere", second().with(release+"relup", makeRelup("2.0.0", "1.0.0")).pack(t), "received: refused bad-relup"},
		{"what runs", demo("1.0.0", "").pack(t), "verified: refused already-installed"},
		{"no relup", second().without(release + "relup").pack(t), "verified: refused no-relup"},
		{"a relup from elsewhere", second().with(release+"relup", makeRelup("1.1.0", "0.9.0")).pack(t), "verified: refused no-relup"},
		{
			"a relup that restarts the emulator",
			second().with(release+"relup", `{"1.1.0",[{"1.0.0",[],[restart_new_emulator]}],[]}.`).pack(t), "verified: refused needs-restart",
		},
		{"a library that is there with other content", second().with("lib/greet-1/greet.txt", "go away").pack(t), "planned: refused conflicting-lib"},
		{
			"an OTP that the image does not have",
			second().with(release+"demo.rel", `{release,{"demo","1.1.0"},{erts,"13.1.5"},[{kernel,"9.0"},{demo,"1.1.0"}]}.`).pack(t), "received: refused needs-image",
		},
	} {
		t.Run(c.about, func(t *testing.T) {
			s := newStage(t, "", demo("1.0.0", ""))
			s.receive(t.Context(), bytes.NewReader(c.pkg), api.UpgradeRequest{})
			s.ends(c.want + ", 1.0.0 runs")
			if e := s.result().Error; !strings.HasSuffix(e.Error(), "(demo 1.0.0 still runs, nothing was changed)") {
				t.Errorf("it says %q", e)
			}
		})
	}
}

func TestADigestThatIsAskedForIsChecked(t *testing.T) {
	digest := strings.Repeat("0", 64)
	s := newStage(t, "", demo("1.0.0", ""))
	s.receive(t.Context(), bytes.NewReader(second().pack(t)), api.UpgradeRequest{SHA256: digest})
	s.ends("requested: refused wrong-digest, 1.0.0 runs")

	r := s.result()
	_, actual, _ := strings.Cut(r.Error.Message, "its sha256 is ")
	actual, _, _ = strings.Cut(actual, ",")
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, "", demo("1.0.0", ""))
		s.receive(t.Context(), bytes.NewReader(second().pack(t)), api.UpgradeRequest{SHA256: strings.ToUpper(actual)})
		s.ends("probation: committed, 1.1.0 runs")
	})
}

func TestRollbacksThatLeadNowhereChangeNothing(t *testing.T) {
	for _, c := range []struct {
		about string
		on    []files
		req   api.RollbackRequest
		want  string
	}{
		{"a volume without a past", []files{demo("1.1.0", "1.0.0")}, api.RollbackRequest{}, "requested: refused no-previous"},
		{"a release that is not there", []files{demo("1.1.0", "1.0.0")}, api.RollbackRequest{Version: "0.9.0"}, "requested: refused no-such-release"},
		{"what runs", []files{demo("1.1.0", "1.0.0")}, api.RollbackRequest{Version: "1.1.0"}, "requested: refused already-installed"},
		{"no relup", []files{demo("1.0.0", ""), demo("1.1.0", "")}, api.RollbackRequest{}, "requested: refused needs-restart"},
	} {
		t.Run(c.about, func(t *testing.T) {
			s := newStage(t, "", c.on...)
			s.rollback(c.req)
			s.ends(c.want + ", 1.1.0 runs")
		})
	}
}

func TestADamagedReleaseIsRestoredBeforeItIsRolledBackTo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, "", demo("1.0.0", ""), second())
		damage(t, s.volume.Path("lib/demo-1.0.0/ebin/demo.beam"))
		s.rollback(api.RollbackRequest{})
		s.ends("probation: committed, 1.0.0 runs, warned")
	})
}

func TestADamagedReleaseWhosePackageIsGoneIsNoWayBack(t *testing.T) {
	s := newStage(t, "", demo("1.0.0", ""), second())
	damage(t, s.volume.Path("lib/demo-1.0.0/ebin/demo.beam"))
	remove(t, s.volume.Path(".agent/packages", s.volume.State().Releases["1.0.0"].Package+".tar.gz"))
	s.before = readDisk(t, s.volume)
	s.rollback(api.RollbackRequest{})
	s.ends("planned: aborted internal, 1.1.0 runs")
}

func TestAnUpgradeGoesOnWithoutItsCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, "", demo("1.0.0", ""))
		caller, hangUp := context.WithCancel(t.Context())
		pkg := io.MultiReader(bytes.NewReader(second().pack(t)), atTheEnd(func() { time.AfterFunc(time.Millisecond, hangUp) }))
		s.receive(caller, pkg, api.UpgradeRequest{})
		if caller.Err() == nil {
			t.Error("the caller is still there")
		}
		s.ends("probation: committed, 1.1.0 runs")
	})
}

func TestACallerThatHangsUpWhileItSendsEndsTheUpgrade(t *testing.T) {
	s := newStage(t, "", demo("1.0.0", ""))
	caller, hangUp := context.WithCancel(t.Context())
	whole := second().pack(t)
	pkg := io.MultiReader(bytes.NewReader(whole[:100]), atTheEnd(hangUp), bytes.NewReader(whole[100:]))
	s.receive(caller, pkg, api.UpgradeRequest{})
	s.ends("requested: aborted internal, 1.0.0 runs")
}

func TestAConnectionThatBreaksWhileThePackageComesEndsTheUpgrade(t *testing.T) {
	s := newStage(t, "", demo("1.0.0", ""))
	whole := second().pack(t)
	s.receive(t.Context(), io.MultiReader(bytes.NewReader(whole[:100]), broken{}), api.UpgradeRequest{})
	s.ends("requested: aborted internal, 1.0.0 runs")
}

// atTheEnd does something when everything before it was read.
type atTheEnd func()

func (do atTheEnd) Read([]byte) (int, error) {
	do()
	return 0, io.EOF
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errors.New("connection reset by peer") }
