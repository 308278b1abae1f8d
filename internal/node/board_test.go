// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package node

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/twostage/twostage/internal/config"
	"github.com/twostage/twostage/internal/vfs"
)

// families are what /metrics has, by name: their kinds.
func families(t *testing.T, addr string) map[string]string {
	t.Helper()
	status, text := get(t, addr, "/metrics?names=exporter")
	if status != 200 {
		t.Fatalf("/metrics: %d", status)
	}
	m := map[string]string{"up": "gauge"} // Prometheus's own
	for line := range strings.Lines(text) {
		if f := strings.Fields(line); len(f) == 4 && f[1] == "TYPE" {
			m[f[2]] = f[3]
		}
	}
	return m
}

// query is an expression, and where it stands.
type query struct{ at, expr string }

var (
	metricName = regexp.MustCompile(`\b(rocketmq|twostage|go|process)_[a-z0-9_]+|\bup\b`)
	counted    = regexp.MustCompile(`\b(rate|increase)\(([a-z0-9_]+)`)
	quoted     = regexp.MustCompile(`"[^"]*"`)
)

// wrong says what is wrong with an expression, by the families that there are.
func wrong(expr string, have map[string]string) (list []string) {
	bare := quoted.ReplaceAllString(expr, `""`)
	for _, pair := range []string{"()", "{}", "[]"} {
		if strings.Count(bare, pair[:1]) != strings.Count(bare, pair[1:]) {
			list = append(list, "brackets "+pair)
		}
	}
	names := metricName.FindAllString(bare, -1)
	if len(names) == 0 {
		list = append(list, "it names no metric")
	}
	for _, name := range names {
		if _, ok := kindOf(name, have); !ok {
			list = append(list, "there is no "+name)
		}
	}
	for _, m := range counted.FindAllStringSubmatch(bare, -1) {
		if kind, _ := kindOf(m[2], have); kind != "counter" {
			list = append(list, m[1]+" of "+m[2]+", which is no counter")
		}
	}
	return list
}

// unseen are the counters of which an alert looks for an increase above 0 and would
// miss the first: their series begin when something has happened, and the increase of
// what begins is 0. began are the names that have samples at the start.
func unseen(expr string, began map[string]bool) (list []string) {
	for _, m := range counted.FindAllStringSubmatch(expr, -1) {
		if m[1] == "increase" && !began[m[2]] && !strings.Contains(expr, m[2]+" unless "+m[2]+" offset ") {
			list = append(list, m[2])
		}
	}
	return list
}

// kindOf is the kind of a metric; the parts of a histogram are counters.
func kindOf(name string, have map[string]string) (string, bool) {
	if kind, ok := have[name]; ok {
		return kind, true
	}
	for _, suffix := range []string{"_bucket", "_sum", "_count"} {
		if base, ok := strings.CutSuffix(name, suffix); ok && (have[base] == "histogram" || have[base] == "summary") {
			return "counter", true
		}
	}
	return "", false
}

// board is what Grafana reads of deploy/grafana, as far as queries stand in it.
type board struct {
	Title, UID string
	Templating struct {
		List []struct{ Name, Type, Definition string }
	}
	Panels []struct {
		ID      int
		Title   string
		Type    string
		GridPos struct{ H, W, X, Y int }
		Targets []struct{ RefID, Expr string }
	}
}

// queries are those of the board; what is wrong with the rest of it is an error.
func (b *board) queries(t *testing.T) (list []query) {
	variables := []string{"__rate_interval"}
	for _, v := range b.Templating.List {
		variables = append(variables, v.Name)
		if v.Type == "query" {
			list = append(list, query{"variable " + v.Name, v.Definition})
		}
	}
	used := regexp.MustCompile(`\$([a-z_]+)`)
	ids := map[int]bool{}
	for _, p := range b.Panels {
		if ids[p.ID] || p.GridPos.W < 1 || p.GridPos.X+p.GridPos.W > 24 {
			t.Errorf("panel %d %q: its id is taken, or it does not fit: %+v", p.ID, p.Title, p.GridPos)
		}
		ids[p.ID] = true
		if p.Type != "row" && len(p.Targets) == 0 {
			t.Errorf("panel %q asks for nothing", p.Title)
		}
		for _, q := range p.Targets {
			list = append(list, query{"panel " + p.Title, q.Expr})
			for _, m := range used.FindAllStringSubmatch(q.Expr, -1) {
				if !slices.Contains(variables, m[1]) {
					t.Errorf("panel %q: there is no variable %s", p.Title, m[1])
				}
			}
		}
	}
	return list
}

// rules is a file of alert rules, every field of it.
type rules struct {
	Groups []struct {
		Name  string `yaml:"name"`
		Rules []struct {
			Alert       string            `yaml:"alert"`
			Expr        string            `yaml:"expr"`
			For         string            `yaml:"for"`
			Labels      map[string]string `yaml:"labels"`
			Annotations map[string]string `yaml:"annotations"`
		} `yaml:"rules"`
	} `yaml:"groups"`
}

func (r *rules) queries(t *testing.T) (list []query) {
	seen := map[string]bool{}
	for _, g := range r.Groups {
		for _, a := range g.Rules {
			if a.Alert == "" || seen[a.Alert] || a.Annotations["summary"] == "" || a.Annotations["description"] == "" ||
				!slices.Contains([]string{"info", "warning", "critical"}, a.Labels["severity"]) {
				t.Errorf("alert %q: it needs a name of its own, a severity, a summary and a description", a.Alert)
			}
			seen[a.Alert] = true
			if _, err := time.ParseDuration(a.For); a.For != "" && err != nil {
				t.Errorf("alert %s: for: %v", a.Alert, err)
			}
			list = append(list, query{"alert " + a.Alert, a.Expr})
		}
	}
	return list
}

// TestBoardAndAlertsNameWhatExists: deploy/ asks Prometheus for what /metrics has.
func TestBoardAndAlertsNameWhatExists(t *testing.T) {
	addr := start(t, load(t, config.RoleAll), config.RoleAll, vfs.NewMem()).fields["http"]
	have, began := families(t, addr), map[string]bool{}
	_, text := get(t, addr, "/metrics")
	for line := range strings.Lines(text) {
		began[metricName.FindString(line)] = !strings.HasPrefix(line, "#") || began[metricName.FindString(line)]
	}
	read := func(name string) []byte {
		text, err := os.ReadFile("../../deploy/" + name)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	var b board
	if err := json.Unmarshal(read("grafana/twostage.json"), &b); err != nil || b.Title == "" || b.UID == "" {
		t.Fatalf("%q: %v", b.Title, err)
	}
	var r rules
	d := yaml.NewDecoder(bytes.NewReader(read("prometheus/alerts.yml")))
	d.KnownFields(true)
	if err := d.Decode(&r); err != nil {
		t.Fatal(err)
	}
	boards, alerts := b.queries(t), r.queries(t)
	if len(boards) < 40 || len(alerts) < 15 {
		t.Errorf("only %d queries and %d alerts were found", len(boards), len(alerts))
	}
	for _, q := range alerts {
		for _, name := range unseen(q.expr, began) {
			t.Errorf("%s: the first %s would not be seen, in %s", q.at, name, q.expr)
		}
	}
	for _, q := range append(boards, alerts...) {
		for _, what := range wrong(q.expr, have) {
			t.Errorf("%s: %s, in %s", q.at, what, q.expr)
		}
	}
	var scrape struct {
		RuleFiles []string `yaml:"rule_files"`
		Scrape    []struct {
			JobName string `yaml:"job_name"`
			Path    string `yaml:"metrics_path"`
		} `yaml:"scrape_configs"`
	}
	if err := yaml.Unmarshal(read("prometheus/prometheus.yml"), &scrape); err != nil || len(scrape.Scrape) != 1 || scrape.Scrape[0].JobName != "twostage" ||
		scrape.Scrape[0].Path != "/metrics" || !slices.Equal(scrape.RuleFiles, []string{"alerts.yml"}) {
		t.Errorf("prometheus.yml: %+v, %v", scrape, err)
	}
}

// TestWrongQueriesAreFound: the test above can fail.
func TestWrongQueriesAreFound(t *testing.T) {
	have := map[string]string{"rocketmq_a_total": "counter", "rocketmq_b": "gauge", "rocketmq_h": "histogram"}
	for expr, want := range map[string]string{
		`sum(rate(rocketmq_a_total{x="(rocketmq_none"}[5m])) / rocketmq_b`: "",
		`rate(rocketmq_h_bucket[5m]) + rocketmq_h_sum`:                     "",
		`rate(rocketmq_b[5m])`: "rate of rocketmq_b, which is no counter",
		`rocketmq_c > 0`:       "there is no rocketmq_c",
		`rocketmq_b_bucket`:    "there is no rocketmq_b_bucket",
		`sum(rocketmq_b`:       "brackets ()",
		`vector(1)`:            "it names no metric",
	} {
		if got := strings.Join(wrong(expr, have), "; "); got != want {
			t.Errorf("%s: %q, want %q", expr, got, want)
		}
	}
	began := map[string]bool{"rocketmq_b": true}
	for expr, want := range map[string]string{
		`increase(rocketmq_a_total[15m]) > 0`: "[rocketmq_a_total]",
		`increase(rocketmq_b[15m]) > 0`:       "[]",
		`increase(rocketmq_a_total[15m]) > 0 or (rocketmq_a_total unless rocketmq_a_total offset 15m)`: "[]",
	} {
		if got := fmt.Sprint(unseen(expr, began)); got != want {
			t.Errorf("%s: %s, want %s", expr, got, want)
		}
	}
}
