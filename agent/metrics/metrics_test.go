package metrics

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"theseus/agent/api"
)

// parse reads families as Prometheus does.
func parse(t *testing.T, families []Family) map[string]*dto.MetricFamily {
	t.Helper()
	var text strings.Builder
	if err := Write(&text, families); err != nil {
		t.Fatal(err)
	}
	parser := expfmt.NewTextParser(model.LegacyValidation)
	got, err := parser.TextToMetricFamilies(strings.NewReader(text.String()))
	if err != nil {
		t.Fatalf("%v in\n%s", err, text.String())
	}
	return got
}

func TestALabelMayBeAnyText(t *testing.T) {
	for _, value := range []string{"", "1.0.0", `a"b\c`, "two\nlines", `\n`, "\xff", `"} 1`} {
		f := Family{Name: "info", Help: "h", Kind: Gauge, Samples: []Sample{{Labels: Labels{"version", value, "name", "x"}, Value: 1}}}
		got := parse(t, []Family{f})["info"].GetMetric()[0].GetLabel()
		if want := strings.ToValidUTF8(value, "�"); got[0].GetValue() != want || got[1].GetValue() != "x" {
			t.Errorf("%q is read as %v", value, got)
		}
	}
}

func TestWhatHasNoValueIsNotThere(t *testing.T) {
	if got := parse(t, []Family{{Name: "none", Kind: Gauge}, One(Counter, "one", "h", 1e15)}); len(got) != 1 || got["one"].GetMetric()[0].GetCounter().GetValue() != 1e15 {
		t.Errorf("it is %v", got)
	}
}

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

// upgrade records one that ends so, a second after it began.
func upgrade(c *Counters, kind string, outcome api.Outcome) {
	c.Record(api.Event{Time: noon, Upgrade: "u", Kind: "upgrade.planned"})
	c.Record(api.Event{Time: noon, Kind: "node.ended"})
	c.Record(api.Event{Time: noon.Add(20 * time.Millisecond), Upgrade: "u", Kind: "node.checked"})
	c.Record(api.Event{Time: noon.Add(900 * time.Millisecond), Upgrade: "u", Kind: "node.installed", Attrs: map[string]any{"ms": int64(300)}})
	c.Record(api.Event{Time: noon.Add(time.Second), Upgrade: "u", Kind: kind + "." + string(outcome), Result: &api.Result{Outcome: outcome, Duration: time.Second}})
}

func TestUpgradesAreCountedByHowTheyEnd(t *testing.T) {
	var c Counters
	upgrade(&c, "upgrade", api.Committed)
	upgrade(&c, "upgrade", api.Committed)
	upgrade(&c, "rollback", api.Broken)
	upgrade(&c, "upgrade", api.Probation)
	upgrade(&c, "of another kind", "of another outcome")
	got := parse(t, c.Families())
	counted := map[string]float64{}
	for _, m := range got["theseus_upgrades_total"].GetMetric() {
		counted[m.GetLabel()[0].GetValue()+" "+m.GetLabel()[1].GetValue()] = m.GetCounter().GetValue()
	}
	if len(counted) != 21 || counted["upgrade committed"] != 2 || counted["rollback broken"] != 1 || counted["install aborted"] != 0 {
		t.Errorf("counted are %v", counted)
	}
	whole := got["theseus_upgrade_duration_seconds"].GetMetric()[0].GetHistogram()
	if whole.GetSampleCount() != 3 || whole.GetSampleSum() != 3 || whole.GetBucket()[3].GetCumulativeCount() != 0 || whole.GetBucket()[4].GetCumulativeCount() != 3 {
		t.Errorf("they took %v", whole)
	}
	for _, m := range got["theseus_upgrade_step_duration_seconds"].GetMetric() {
		h := m.GetHistogram()
		if sum := fmt.Sprintf("%.2f", h.GetSampleSum()); m.GetLabel()[0].GetValue() == "install" && sum != "1.50" || m.GetLabel()[0].GetValue() == "check" && sum != "0.10" {
			t.Errorf("%s took %s", m.GetLabel()[0].GetValue(), sum)
		}
	}
	last := got["theseus_upgrade_last_end_timestamp_seconds"].GetMetric()
	if len(last) != 2 || last[0].GetGauge().GetValue() != float64(noon.Unix()+1) {
		t.Errorf("the last ones ended at %v", last)
	}
}

func TestTheAgentsOwnMetricsAreThere(t *testing.T) {
	got := parse(t, Process(7))
	for _, name := range []string{"process_start_time_seconds", "process_cpu_seconds_total", "process_resident_memory_bytes", "process_open_fds", "go_goroutines"} {
		m := got[name].GetMetric()
		if len(m) != 1 || m[0].GetGauge().GetValue()+m[0].GetCounter().GetValue() <= 0 {
			t.Errorf("%s is %v", name, m)
		}
	}
}

// source is an agent whose node is not ready.
type source struct{}

func (source) Metrics() []Family           { return []Family{One(Gauge, "up", "h", 1)} }
func (source) Alive(context.Context) error { return nil }
func (source) Ready(context.Context) error { return errors.New("the node is booting") }

// serve serves on a free port, and returns where.
func serve(t *testing.T, log io.Writer, taken net.Listener) string {
	t.Helper()
	addr := ""
	if taken != nil {
		addr = taken.Addr().String()
	} else {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		addr = l.Addr().String()
		l.Close()
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		Serve(ctx, addr, source{}, 20*time.Millisecond, slog.New(slog.NewTextHandler(log, nil)))
	}()
	t.Cleanup(func() {
		stop()
		<-done
	})
	return addr
}

// ask repeats a request until somebody answers.
func ask(t *testing.T, method, url string) (int, string) {
	t.Helper()
	for deadline := time.Now().Add(3 * time.Minute); ; {
		req, err := http.NewRequest(method, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err == nil {
			defer resp.Body.Close()
			text, _ := io.ReadAll(resp.Body)
			return resp.StatusCode, string(text)
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

func TestEverybodyIsAnsweredThreeQuestionsAndNoMore(t *testing.T) {
	addr := serve(t, t.Output(), nil)
	for request, want := range map[string]int{
		"GET /metrics": 200, "GET /healthz": 200, "GET /readyz": 503, "HEAD /metrics": 200,
		"POST /metrics": 405, "DELETE /healthz": 405, "GET /": 404, "GET /v1/status": 404, "POST /v1/stop": 404, "POST /v1/eval": 404,
		"GET //v1/status": 404, "GET /metrics/../v1/status": 404, "GET /metrics/x": 404, "GET /healthz%2f..%2fv1/status": 404, "CONNECT /v1/stop": 404,
	} {
		method, path, _ := strings.Cut(request, " ")
		if got, text := ask(t, method, "http://"+addr+path); got != want {
			t.Errorf("%s: %d %s", request, got, text)
		}
	}
	if _, text := ask(t, "GET", "http://"+addr+"/readyz"); text != "the node is booting\n" {
		t.Errorf("it is not ready because %q", text)
	}
}

func TestAnAddressThatIsTakenIsToldOnceAndTriedAgain(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	reader, log := io.Pipe()
	lines := make(chan string, 100)
	go func() {
		for s := bufio.NewScanner(reader); s.Scan(); {
			lines <- s.Text()
		}
	}()
	addr := serve(t, log, taken)
	if said := <-lines; !strings.Contains(said, "cannot listen on "+addr) {
		t.Errorf("it says %s", said)
	}
	taken.Close()
	if got, _ := ask(t, "GET", "http://"+addr+"/healthz"); got != 200 {
		t.Errorf("then it answers %d", got)
	}
	if len(lines) > 0 {
		t.Errorf("it says again %s", <-lines)
	}
}

func TestStrangersCannotHoldEveryConnection(t *testing.T) {
	addr := serve(t, t.Output(), nil)
	ask(t, "GET", "http://"+addr+"/healthz")
	http.DefaultClient.CloseIdleConnections()
	var guests []net.Conn
	for range 3 * maxGuests {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		fmt.Fprint(c, "GET /healthz HTTP/1.1\r\nHost: here\r\n\r\n") // then it may stay for idleTimeout
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		guests = append(guests, c)
	}
	for i, c := range guests {
		leaves := i < 2*maxGuests
		patience := idleTimeout / 2
		if !leaves {
			patience = 10 * time.Millisecond
		}
		c.SetReadDeadline(time.Now().Add(patience))
		if _, err := c.Read(make([]byte, 1)); errors.Is(err, os.ErrDeadlineExceeded) == leaves {
			t.Errorf("the one that came as number %d of %d: %v", i, len(guests), err)
		}
	}
	if resp, err := http.Get("http://" + addr + "/healthz"); err != nil || resp.StatusCode != 200 { // most of them are held still
		t.Errorf("a probe beside them has %v", err)
	}
}
