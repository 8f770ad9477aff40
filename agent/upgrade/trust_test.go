package upgrade

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"

	"theseus/agent/api"
	"theseus/agent/trust"
	"theseus/agent/trust/trusttest"
)

func makeKey(t *testing.T, dir string) trusttest.Key {
	t.Helper()
	k, err := trusttest.NewKey(dir)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// TestPackagesThatAreNotTrustedChangeNothing: end compares the disk with what it was.
func TestPackagesThatAreNotTrustedChangeNothing(t *testing.T) {
	keys, whole := t.TempDir(), second().pack(t)
	ours, stranger := makeKey(t, keys), makeKey(t, t.TempDir())
	signature := ours.Sign(whole, "demo 1.1.0")
	for _, c := range []struct {
		about, signature, keys, want string
		pkg                          io.Reader
	}{
		{"no signature", "", keys, "requested: refused unsigned", unread{t}},
		{"no text of one", "signed, honestly", keys, "requested: refused bad-signature", unread{t}},
		{"of a key that nobody knows", stranger.Sign(whole, ""), keys, "requested: refused unknown-key", unread{t}},
		{"no keys to compare with", signature, keys + "/lost", "requested: refused unusable-keys", unread{t}},
		{"of another package", ours.Sign(whole[1:], "demo 1.1.0"), keys, "requested: refused bad-signature", bytes.NewReader(whole)},
		{"with another comment", strings.Replace(signature, "1.1.0", "1.2.0", 1), keys, "requested: refused bad-signature", bytes.NewReader(whole)},
		{"of no package at all", signature, keys, "requested: refused bad-signature", strings.NewReader("it was a dark and stormy night")},
		{"of the legacy kind, and big", ours.SignLegacy(whole), keys, "requested: refused legacy-signature", bytes.NewReader(make([]byte, 5<<20))},
	} {
		t.Run(c.about, func(t *testing.T) {
			s := newStage(t, "", demo("1.0.0", ""))
			s.engine.Trust = trust.Policy{Keys: c.keys}
			s.receive(t.Context(), c.pkg, api.UpgradeRequest{Signature: c.signature})
			s.ends(c.want + ", 1.0.0 runs")
			e := s.result().Error
			if !strings.HasPrefix(e.Message, "cannot use demo.tar.gz: ") || !strings.HasSuffix(e.Error(), "(demo 1.0.0 still runs, nothing was changed)") || e.Hint == "" {
				t.Errorf("it says %q, hint %q", e, e.Hint)
			}
		})
	}
}

// unread is a package of which nothing may be read.
type unread struct{ t *testing.T }

func (u unread) Read([]byte) (int, error) {
	u.t.Error("the package was read")
	return 0, errors.New("it was not to be read")
}

func TestWhoSignedAPackageIsRecorded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		keys, whole := t.TempDir(), second().pack(t)
		ours := makeKey(t, keys)
		for _, signature := range []string{ours.Sign(whole, "demo 1.1.0"), ours.SignLegacy(whole)} {
			s := newStage(t, "", demo("1.0.0", ""))
			s.engine.Trust = trust.Policy{Keys: keys}
			s.receive(context.Background(), bytes.NewReader(whole), api.UpgradeRequest{Signature: signature})
			s.ends("probation: committed, 1.1.0 runs")
			signer := s.volume.State().Releases["1.1.0"].Signer
			if signer.Key != ours.ID || signer.Comment == "" {
				t.Errorf("recorded is %+v", signer)
			}
			told := false
			for _, e := range s.history {
				told = told || e.Kind == "package.trusted" && e.Attrs["key"] == ours.ID && strings.Contains(e.Message, signer.Comment)
			}
			if !told {
				t.Error("the history does not tell of it")
			}
		}
	})
}

func TestASignatureThatNobodyCheckedIsToldOf(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, "", demo("1.0.0", ""))
		s.receive(context.Background(), bytes.NewReader(second().pack(t)), api.UpgradeRequest{Signature: "signed, honestly"})
		s.ends("probation: committed, 1.1.0 runs, warned")
	})
}

func TestAnOlderVersionIsRefusedUnlessItIsAllowed(t *testing.T) {
	for _, c := range []struct {
		refuse, allow bool
		want          string
	}{
		{true, false, "verified: refused downgrade, 1.1.0 runs"},
		{true, true, "probation: committed, 1.0.0 runs"},
		{false, false, "probation: committed, 1.0.0 runs"},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := newStage(t, "", demo("1.1.0", "1.0.0"))
			s.engine.RefuseDowngrade = c.refuse
			s.receive(context.Background(), bytes.NewReader(demo("1.0.0", "").pack(t)), api.UpgradeRequest{AllowDowngrade: c.allow})
			s.ends(c.want)
		})
	}
}

func TestARollbackIsNoDowngrade(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, "", demo("1.0.0", ""), demo("1.1.0", "1.0.0"))
		s.engine.RefuseDowngrade = true
		s.rollback(api.RollbackRequest{})
		s.ends("probation: committed, 1.0.0 runs")
	})
}

func TestVersionsAreOrderedWhereTheyCanBe(t *testing.T) {
	ordered := []string{
		"0.9", "1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-beta.2", "1.0.0-beta.11", "1.0.0-rc.1", "1.0.0", "v1.0.1",
		"1.2", "1.10.0", "2.0.0.1", "10.0.0", "20240101000000000000000000",
	}
	for i, x := range ordered {
		for j, y := range ordered {
			got, known := compareVersions(x, y)
			if want := min(1, max(-1, i-j)); !known || got != want {
				t.Errorf("%s and %s: %d, %v; want %d", x, y, got, known, want)
			}
		}
	}
	for _, same := range [][2]string{{"1.0", "1.0.0"}, {"1.0.0+build.7.ref12ab", "1.0.0"}, {"v1.0.0", "1.0.0"}, {"01.0", "1.0"}} {
		if got, known := compareVersions(same[0], same[1]); got != 0 || !known {
			t.Errorf("%v: %d, %v", same, got, known)
		}
	}
	for _, opaque := range []string{"latest", "", "1.", "1..0", "1.0_2", "r27", "1.0.0 "} {
		if _, known := compareVersions(opaque, "1.0.0"); known {
			t.Errorf("%q is said to have an order", opaque)
		}
	}
}
