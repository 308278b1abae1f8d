// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// benchJSON runs a bench command and reads its report.
func benchJSON(t *testing.T, env []string, args ...string) *report {
	t.Helper()
	r := try(t, env, "", append(args, "--json")...)
	got := new(report)
	if err := json.Unmarshal([]byte(r.out), got); r.code != 0 || err != nil {
		t.Fatalf("%q: %+v, %v", args, r, err)
	}
	return got
}

func TestBenchTopics(t *testing.T) {
	env, _ := serve(t)
	load := []string{"--topic", "many", "--topics", "11", "--conns", "2", "--inflight", "3", "--pid", strconv.Itoa(os.Getpid())}
	send := append([]string{"bench", "send", "--queues", "3", "--size", "100", "--warmup", "1ms", "--duration", "300ms"}, load...)
	got := benchJSON(t, env, append(send, "--fill")...)
	if g := got.Medians[0]; got.Topics != 11 || g.PerSecond <= 0 || g.FillSeconds <= 0 || g.Max < g.P999 || g.BytesPer <= 0 {
		t.Errorf("%+v", got)
	}
	if out := must(t, env, "topic", "list"); strings.Count(out, "many-") != 11 || !strings.Contains(out, "many-00\n") || !strings.Contains(out, "many-10\n") {
		t.Errorf("topics: %q", out)
	}
	if out := must(t, env, "topic", "route", "many-07"); !regexp.MustCompile(` 3 +3 +RW-`).MatchString(out) {
		t.Errorf("route: %q", out)
	}
	if out := must(t, env, append(send, "--fill", "--rounds", "2")...); !strings.Contains(out, "bench send: 11 topics many-..., 2 connections") || strings.Count(out, "a first message for every queue took") != 2 {
		t.Errorf("send: %s", out)
	}
	got = benchJSON(t, env, append([]string{"bench", "consume", "--once", "--count", "7", "--bytes", "100000", "--duration", "1m"}, load...)...)
	if g := got.Rounds[0]; got.Topics != 11 || got.Count != 7 || got.Bytes != 100000 || !got.Once || g.Messages < 33 || g.BytesPer <= g.PerSecond*100 || g.DiskPer < 0 {
		t.Errorf("%+v", got)
	}
	out := must(t, env, append([]string{"bench", "consume", "--once", "--duration", "1m"}, load...)...)
	if !strings.Contains(out, "pulls of 32 messages, json headers, read once, at most of 60s") {
		t.Errorf("consume: %s", out)
	}
}

func TestBenchRateAndFloor(t *testing.T) {
	env, _ := serve(t)
	env = append(env, asProgram+"=1", "PATH="+os.Getenv("PATH"))
	got := benchJSON(t, env, "bench", "send", "--rate", "500", "--conns", "2", "--inflight", "4", "--size", "100", "--warmup", "10ms", "--duration", "300ms")
	if g := got.Rounds[0]; got.Rate != 500 || g.Messages < 1 || g.P50 <= 0 {
		t.Errorf("%+v", got)
	}
	consume := []string{"bench", "consume", "--floor", "--conns", "1", "--count", "5", "--size", "100", "--warmup", "10ms", "--duration", "200ms"}
	got = benchJSON(t, env, consume...)
	if len(got.Medians) != 2 || got.Ratios == nil || got.Ratios.Bytes <= 0 || got.Medians[0].Subject != "floor" || got.Medians[0].PerSecond <= 0 || got.Medians[1].PerSecond <= 0 {
		t.Errorf("%+v", got)
	}
	if floor, broker := got.Medians[0], got.Medians[1]; floor.BytesPer/floor.PerSecond < 100 || broker.BytesPer/broker.PerSecond < 100 {
		t.Errorf("records of %g bytes from the floor, of %g from the broker", floor.BytesPer/floor.PerSecond, broker.BytesPer/broker.PerSecond)
	}
	if out := must(t, env, consume...); !regexp.MustCompile(`\n +broker/floor +[\d.]+% +[\d.]+% +[\d.]+x`).MatchString(out) {
		t.Errorf("%s", out)
	}
}

func TestBenchWake(t *testing.T) {
	env, _ := serve(t)
	wake := []string{"bench", "wake", "--rate", "300", "--size", "100", "--queues", "3", "--warmup", "100ms", "--duration", "400ms", "--pid", strconv.Itoa(os.Getpid())}
	got := benchJSON(t, env, wake...)
	if len(got.Medians) != 2 || got.Rate != 300 {
		t.Fatalf("%+v", got)
	}
	// What was due within the duration was sent, and all of it came.
	sent, delivered := got.Rounds[0], got.Rounds[1]
	if sent.Subject != "sent" || sent.Messages != 120 || sent.P50 <= 0 || sent.ServerMicros <= 0 {
		t.Errorf("%+v", sent)
	}
	if delivered.Subject != "delivered" || delivered.Messages != 120 || delivered.P50 <= 0 {
		t.Errorf("%+v", delivered)
	}
	if out := must(t, env, wake...); !strings.Contains(out, "at 300 messages/s") || !regexp.MustCompile(`\n +delivered .*\n`).MatchString(out) {
		t.Errorf("%s", out)
	}
}

func TestBenchDisk(t *testing.T) {
	dir := t.TempDir()
	small := []string{"bench", "disk", dir, "--file-size", "100000", "--most", "250000", "--block", "10000", "--size", "100", "--duration", "1m", "--records", "1,16", "--rounds", "2"}
	r := try(t, nil, "", append(small, "--json")...)
	var got diskReport
	if err := json.Unmarshal([]byte(r.out), &got); r.code != 0 || err != nil {
		t.Fatalf("%+v, %v", r, err)
	}
	var names []string
	for _, g := range got.Floors {
		names = append(names, g.Name)
		if g.WritesPer <= 0 || g.BytesPerSecond <= 0 || g.P50 <= 0 || g.Max < g.P999 || g.Records > 0 && (g.WriteBytes != g.Records*got.RecordBytes || g.RecordsPer != g.WritesPer*float64(g.Records)) {
			t.Errorf("%+v", g)
		}
	}
	if want := "writer,writer, fdatasync every 500ms,write and fdatasync of 1,write and fdatasync of 16"; strings.Join(names, ",") != want || got.RecordBytes <= 100 {
		t.Errorf("%q of records of %d bytes, want %q", names, got.RecordBytes, want)
	}
	out := must(t, nil, append(small, "--floors", "loop,writer")...)
	if strings.Contains(out, "every 500ms") || !regexp.MustCompile(`\n +write and fdatasync of 16 +\d+ +[1-9]\d* +[1-9]\d* `).MatchString(out) || !regexp.MustCompile(`\n +writer +10000 +[1-9]\d* +- `).MatchString(out) {
		t.Errorf("%s", out)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("%v is left, %v", left, err)
	}
	if r := try(t, nil, "", "bench", "disk", filepath.Join(os.DevNull, "x"), "--most", "1"); r.code != exitFailed || !strings.Contains(r.err, "not a directory") {
		t.Errorf("no directory: %+v", r)
	}
}

func TestBenchUsage(t *testing.T) {
	for flags, want := range map[string]string{
		"send --topics 0":                     "--topics 0: 1 to",
		"send --topics 1000001":               "--topics 1000001: 1 to",
		"send --rate -1":                      "--rate -1: 0 to",
		"send --rate NaN":                     "--rate NaN: 0 to",
		"send --rate 5 --floor":               "--floor does not go with --rate",
		"send --fill --warmup 0s":             "--warmup must be over 0",
		"consume --count 0":                   "--count 0",
		"consume --bytes -1":                  `"--bytes" flag: "-1" is no size`,
		"consume --inflight 0":                "--inflight 0: at least 1",
		"disk":                                "0 arguments",
		"disk /nowhere --records 1,0":         "--records [1 0]",
		"disk /nowhere --block 0":             "--block 0",
		"disk /nowhere --size 0":              "--size 0",
		"disk /nowhere --floors loops":        `--floors "loops": accepted are writer`,
		"disk /nowhere --rounds 0":            "--rounds 0",
		"disk /nowhere --most 0":              "--most 0",
		"disk /nowhere --duration 0s":         "--duration 0s",
		"disk /nowhere --file-size 1000":      "no more bytes than a file has",
		"send --topic x/y --namesrv nowhere:": "--namesrv",
	} {
		r := try(t, nil, "", append([]string{"bench"}, strings.Fields(flags)...)...)
		if r.code != exitUsage || !strings.Contains(r.err, want) || r.out != "" {
			t.Errorf("%s: %+v, want %q", flags, r, want)
		}
	}
}

// TestReportOfAnOpenLoop warns of a broker that did not keep up.
func TestReportOfAnOpenLoop(t *testing.T) {
	for rate, warned := range map[float64]bool{0: false, 1000: false, 1100: true} {
		r := &report{Rate: rate, Rounds: []figures{{Subject: "broker", PerSecond: 1000, DiskPer: -1}}}
		r.finish()
		if got := len(r.Warnings) > 0; got != warned {
			t.Errorf("1000 of %g a second: %q", rate, r.Warnings)
		}
	}
}
