package volume

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
)

// keptReports are what is kept, newest first, of ids that reportOf has made.
func keptReports(t *testing.T, v *Volume, most int) (numbers []int) {
	t.Helper()
	for n := most; n >= 0; n-- {
		if _, err := v.Report(reportOf(n)); err == nil {
			numbers = append(numbers, n)
		} else if !errors.Is(err, ErrNoReport) {
			t.Fatal(err)
		}
	}
	return numbers
}

func reportOf(n int) string { return fmt.Sprintf("20260102-%06d-0a0a", n) }

func TestTheNewestReportsStay(t *testing.T) {
	v := seeded(t)
	for n := range mostReports + 10 {
		must(t, v.StoreReport(reportOf(n), []byte("{}")))
	}
	if got := keptReports(t, v, mostReports+10); len(got) != mostReports || got[0] != mostReports+9 || got[mostReports-1] != 10 {
		t.Errorf("there are %v", got)
	}
	must(t, os.WriteFile(v.agentPath("reports", "debris"), nil, 0o600))
	large := []byte(strings.Repeat("x", reportBytes/3))
	for n := range 5 {
		must(t, v.StoreReport(reportOf(100+n), large))
	}
	if got := keptReports(t, v, 110); len(got) != 3 || got[0] != 104 {
		t.Errorf("of large ones there are %v", got)
	}
	must(t, v.StoreReport(reportOf(200), []byte(strings.Repeat("x", 2*reportBytes))))
	if got := keptReports(t, v, 210); len(got) != 1 || got[0] != 200 {
		t.Errorf("beside the largest there are %v", got)
	}
	if entries, err := os.ReadDir(v.agentPath("reports")); err != nil || len(entries) != 1 {
		t.Errorf("the directory has %v, %v", entries, err)
	}
}

func TestWhatIsNoIDOfAnUpgradeNamesNoFile(t *testing.T) {
	v := seeded(t)
	for _, id := range []string{"", ".", "..", "../state", "x", "20260102-150405-0A0A", "20260102-150405-0a0a.json", "20260102-150405-0a0a/../../state", "20260102-150405-0a0a\n"} {
		if err := v.StoreReport(id, []byte("{}")); err == nil {
			t.Errorf("%q was kept", id)
		}
		if content, err := v.Report(id); !errors.Is(err, ErrNoReport) {
			t.Errorf("%q is %q, %v", id, content, err)
		}
	}
}
