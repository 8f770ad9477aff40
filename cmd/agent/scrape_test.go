package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/rogpeppe/go-internal/testscript"
)

// scrape asks the agent for its metrics as Prometheus does, over its socket, and writes them into a file, one a line:
// scrape FILE.
func scrape(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: scrape FILE")
	}
	client := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", ts.Getenv("AGENT_RUN_DIR")+"/agent.sock")
	}}}
	defer client.CloseIdleConnections()
	resp, err := client.Get("http://agent/metrics")
	ts.Check(err)
	defer resp.Body.Close()
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(resp.Body)
	ts.Check(err)
	var lines []string
	for name, family := range families {
		for _, m := range family.GetMetric() {
			lines = append(lines, fmt.Sprintf("%s%s %v", name, labels(m), m.GetGauge().GetValue()+m.GetCounter().GetValue()+float64(m.GetHistogram().GetSampleCount())))
		}
	}
	slices.Sort(lines)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(strings.Join(lines, "\n")+"\n"), 0o600))
}

func labels(m *dto.Metric) string {
	text := ""
	for _, l := range m.GetLabel() {
		text += " " + l.GetName() + "=" + l.GetValue()
	}
	return text
}
