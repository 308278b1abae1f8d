// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"encoding/json"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/twostage/twostage/internal/bench"
)

func TestBenchPop(t *testing.T) {
	env, _ := serve(t, "--set", "flushDiskType=ASYNC_FLUSH")
	must(t, env, "bench", "send", "--topic", "popped", "--queues", "3", "--conns", "2", "--inflight", "64", "--size", "100", "--warmup", "0s", "--duration", "500ms")
	pop := []string{"bench", "pop", "--topic", "popped", "--conns", "2", "--inflight", "2", "--count", "20", "--warmup", "10ms", "--duration", "200ms", "--pid", strconv.Itoa(os.Getpid())}
	got := benchJSON(t, env, append(pop, "--rounds", "2", "--settle", "10ms")...)
	if len(got.Medians) != 3 || len(got.Rounds) != 6 || got.Count != 20 || got.Ratios != nil {
		t.Fatalf("%+v", got)
	}
	for i, want := range []string{"pull", "pop+ack", "pop+batchack"} {
		g := got.Medians[i]
		popped := want != "pull"
		if g.Subject != want || g.PerSecond <= 0 || g.P50 <= 0 || g.BytesPer < 100*g.PerSecond || popped != (g.AckP50 > 0) || g.AckP99 < g.AckP50 || popped != (g.WholeMicros > 0) {
			t.Errorf("%s: %+v", want, g)
		}
	}
	out := must(t, env, append(pop, "--subjects", "pull,pop+batchack")...)
	if !regexp.MustCompile(`(?s)pulls of 20 messages.*\n +pop\+batchack/pull +[\d.]+%.*\npop\+batchack: acks p50 \d+ us, p99 \d+ us; [\d.]+ us of server CPU`).MatchString(out) {
		t.Errorf("%s", out)
	}
}

func TestBenchTimers(t *testing.T) {
	env, _ := serve(t)
	timers := []string{"bench", "timers", "--conns", "2", "--rate", "200", "--size", "100", "--queues", "3", "--duration", "300ms", "--linger", "1m", "--pid", strconv.Itoa(os.Getpid())}
	for _, how := range [][]string{{"--delay", "50ms"}, {"--delay", "50ms", "--by", "delay"}, {"--delay", "50ms", "--burst"}, {"--by", "level", "--level", "1"}} {
		r := try(t, env, "", append(append(timers, how...), "--json")...)
		var got timersReport
		if err := json.Unmarshal([]byte(r.out), &got); r.code != 0 || err != nil {
			t.Fatalf("%q: %+v, %v", how, r, err)
		}
		if got.Asked < 1 || got.Received != got.Asked || got.Early+got.Duplicated != 0 || got.P50 <= 0 || got.Max < 0.99*got.P99 || got.In <= 0 || got.Out <= 0 || got.DelaySeconds <= 0 || (got.Level == 1) != (got.By == "level") {
			t.Errorf("%q: %+v", how, got)
		}
	}
	out := must(t, env, append(timers, "--delay", "1ms")...)
	if !regexp.MustCompile(`(?s)at 200 messages/s, by deliver, delay 0.001s.*late p50 ms.*\n +\d+ +\d+ .*\nsent (\d+), received \d+, twice 0, early 0 `).MatchString(out) {
		t.Errorf("%s", out)
	}
}

func TestBenchClients(t *testing.T) {
	env, _ := serve(t)
	clients := []string{
		"bench", "clients", "--links", "3", "--consumers", "10", "--groups", "4", "--polls", "9", "--beat", "100ms", "--hot-rate", "50", "--stalled", "1", "--scans", "1", "--rate", "300",
		"--size", "100", "--queues", "2", "--warmup", "50ms", "--duration", "300ms", "--pid", strconv.Itoa(os.Getpid()),
	}
	r := try(t, env, "", append(clients, "--json")...)
	var got clientsReport
	if err := json.Unmarshal([]byte(r.out), &got); r.code != 0 || err != nil {
		t.Fatalf("%+v, %v", r, err)
	}
	if got.Alone.P50 <= 0 || got.Loaded.P50 <= 0 || got.Alone.Memory <= 0 || got.Heartbeats.P50 <= 0 || got.Delivered.P50 <= 0 || got.Received != 4*got.Sent || got.Sent == 0 || got.Ratios.P50 != got.Loaded.P50/got.Alone.P50 || got.Scanned == 0 {
		t.Errorf("%+v", got)
	}
	out := must(t, env, clients...)
	if !regexp.MustCompile(`(?s)10 consumers in 4 groups on 3 connections.*\n +producer loaded +\d+.*\n +heartbeats +\d+.*\n +delivered +\d+.*, received \d+; 0 pulls not held`).MatchString(out) {
		t.Errorf("%s", out)
	}
}

func TestBenchLoadUsage(t *testing.T) {
	for flags, want := range map[string]string{
		"pop --count 33":                   "--count 33: a pop gives at most 32",
		"pop --subjects pull,push":         `--subjects "push": accepted are pull`,
		"pop --invisible 0s":               "--invisible 0s",
		"pop --settle -1s":                 `"--settle" flag: "-1s" is no span`,
		"pop --inflight 0":                 "--inflight 0: at least 1",
		"pop --addr 127.0.0.1:1":           "use --namesrv",
		"timers --by luck":                 `--by "luck": accepted are deliver`,
		"timers --by level --level 19":     "--level 19: 1 to 18",
		"timers --by level --delay 1s":     "--delay does not go with --by level",
		"timers --level 3":                 "--level goes with --by level",
		"timers --delay 1500us":            "--delay 1.5ms: whole milliseconds",
		"timers --by delay --burst":        "--burst goes with --by deliver",
		"timers --linger -1s":              `"--linger" flag: "-1s" is no span`,
		"timers --size 0":                  "--size 0: at least 1",
		"clients --rate 0":                 "--rate 0",
		"clients --links 0":                "--links 0: 1 to",
		"clients --consumers 5":            "--groups 1000 of 5",
		"clients --groups 0":               "--groups 0 of 10000",
		"clients --links 9":                "--links 9: a group has 10 members",
		"clients --beat 0s":                "--beat 0s",
		"clients --hold 0s":                "--hold 0s",
		"clients --hot-rate -1":            "--hot-rate -1: 0 to",
		"clients --polls -1":               "--polls -1: 0 to",
		"wake --rate 0":                    "--rate 0",
		"wake --duration 1s --warmup -1ms": "--warmup",
	} {
		r := try(t, nil, "", append([]string{"bench"}, strings.Fields(flags)...)...)
		if r.code != exitUsage || !strings.Contains(r.err, want) || r.out != "" {
			t.Errorf("%s: %+v, want %q", flags, r, want)
		}
	}
}

// TestBenchLoadReports has the figures worked out from what was measured.
func TestBenchLoadReports(t *testing.T) {
	h := hdrhistogram.New(1000, int64(time.Minute), 3)
	if err := h.RecordValue(int64(3 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	slow := hdrhistogram.New(1000, int64(time.Minute), 3)
	if err := slow.RecordValue(int64(6 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	sent := func(latency *hdrhistogram.Histogram) *bench.Result {
		return &bench.Result{Messages: 900, Elapsed: 2 * time.Second, Latency: latency, ServerCPU: time.Second, LoaderCPU: time.Hour}
	}
	screen := newScreen()
	timers := &bench.TimerResult{
		Sent: sent(h), Asked: 900, Received: 800, Early: 2, Earliest: 1500 * time.Microsecond, Duplicated: 1, Lateness: h, Latest: 4 * time.Millisecond,
		Delivering: time.Second, ServerCPU: 8 * time.Millisecond,
	}
	tf := &benchTimersFlags{by: byDeliver}
	if err := newTimersReport(tf, &bench.TimerLoad{Load: bench.Load{Rate: 1000}, Delay: time.Second}, timers).print(screen); err != nil {
		t.Error(err)
	}
	clients := &bench.ClientsResult{Alone: sent(h), Loaded: sent(slow), Heartbeats: h, Delivered: slow, Memory: [3]int64{1e6, 2e6, 30e6}, Sent: 2, Received: 5}
	if err := newClientsReport(&benchClientsFlags{benchFlags: benchFlags{load: bench.Load{Rate: 450}}}, clients).print(screen); err != nil {
		t.Error(err)
	}
	for _, want := range []string{
		`450 +3000 +3000 +800 +3.00 +3.00 +3.00 +4.00 +10.00 +\d+%`, `sent 900, received 800, twice 1, early 2 \(by up to 1.500 ms\)`,
		"warning: the loader took", "took 450 of the 1000 messages", `producer alone +450 +3000 .* 50% +2 `, `producer loaded +450 +600. .* 50% +30 `, `loaded/alone +2.00x +2.00x`,
	} {
		if !regexp.MustCompile(want).MatchString(screen.String()) {
			t.Errorf("no %q in:\n%s", want, screen)
		}
	}
}
