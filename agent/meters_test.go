package agent

import (
	"testing"
	"testing/synctest"
	"time"
)

// TestALoopThatIsElsewhereForAWhileIsNotStuck: probes come as often as they like.
func TestALoopThatIsElsewhereForAWhileIsNotStuck(t *testing.T) {
	for about, c := range map[string]struct {
		every time.Duration // between two probes
		away  int           // probes at which the loop is elsewhere, of the last ones
		stuck bool
	}{
		"it turns":                       {10 * time.Second, 0, false},
		"it is between two nodes":        {10 * time.Second, 2, false},
		"it is away for long":            {10 * time.Second, 4, true},
		"seldom asked, and away":         {time.Minute, 1, false},
		"asked twice in an hour, and so": {time.Hour, 2, false},
	} {
		t.Run(about, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				turns, pulse := turns{limit: 17 * time.Second}, make(chan struct{}, 1)
				var err error
				for probe := range 6 {
					if probe < 6-c.away {
						pulse <- struct{}{}
					}
					err = turns.feel(t.Context(), pulse)
					<-time.After(c.every)
				}
				if (err != nil) != c.stuck {
					t.Errorf("it says %v", err)
				}
			})
		})
	}
}
