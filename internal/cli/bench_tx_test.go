// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/twostage/twostage/internal/bench"
	"github.com/twostage/twostage/internal/cli/output"
)

func TestBenchTx(t *testing.T) {
	env, _ := serve(t, "--set", "transactionTimeOut=50", "--set", "transactionCheckInterval=50", "--set", "flushDiskType=ASYNC_FLUSH")
	// On one connection answers and checks are in the order in which the broker sent them.
	load := []string{"bench", "tx", "--duration", "400ms", "--warmup", "50ms", "--linger", "300ms", "--conns", "1", "--inflight", "4", "--size", "100"}
	r := try(t, env, "", append(load, "--rounds", "2", "--json", "--encoding", "binary", "--keys", "--rollback-rate", "0.2", "--unknown-rate", "0.3", "--check-rollback-rate", "0.2",
		"--check-unknown-rate", "0.2", "--pid", strconv.Itoa(os.Getpid()))...)
	var got txReport
	if err := json.Unmarshal([]byte(r.out), &got); r.code != 0 || err != nil {
		t.Fatalf("%+v, %v", r, err)
	}
	if len(got.Rounds) != 2 || got.Inflight != 4 || got.Size != 100 || got.UnknownRate != 0.3 || !got.Keys || got.OneWay || got.Median.PerSecond <= 0 || got.Median.Counts != nil {
		t.Fatalf("%+v", got)
	}
	for i, g := range got.Rounds {
		c := g.Counts
		if g.Round != i+1 || g.Transactions < 1 || g.Half.P50 <= 0 || g.Whole.P50 <= g.Half.P50 || g.Whole.P99 < g.Whole.P50 || g.Whole.P999 < g.Whole.P99 || g.CommitsPer <= 0 {
			t.Errorf("round %d: %+v", i, g)
		}
		if c.Committed == 0 || c.RolledBack == 0 || c.Checks == 0 || c.Sent != c.Committed+c.RolledBack+c.Open || c.UnexpectedCheck+c.DuplicatedCheck+c.Refused+c.Unanswered != 0 {
			t.Errorf("round %d: %+v", i, c)
		}
	}
	env, _ = serve(t, "--set", "flushDiskType=ASYNC_FLUSH") // a one-way outcome may take longer than the deadline above
	out := must(t, env, append(load, "--oneway")...)
	if !regexp.MustCompile(`one-way outcomes[^\n]+\n\n +tx/s [^\n]+\n +round 1 +[1-9]\d* +[1-9]`).MatchString(out) || !regexp.MustCompile(`\n +sent +committed[^\n]+\n +round 1 +[1-9]\d* +[1-9]\d* +0 `).MatchString(out) {
		t.Errorf("%s", out)
	}
}

func TestBenchTxDeadlines(t *testing.T) {
	env, _ := serve(t)
	r := try(t, env, "", "bench", "tx", "--pending", "50", "--deadline", "1s", "--spread", "0s", "--linger", "1m", "--conns", "2", "--inflight", "4", "--size", "100", "--json")
	var got deadlineReport
	if err := json.Unmarshal([]byte(r.out), &got); err != nil {
		t.Fatalf("%+v, %v", r, err)
	}
	if r.code != 0 || got.Stored != 50 || got.Checked != 50 || got.Early != 0 || got.Latest <= 0 || got.Duplicated != 0 || got.Refused != 0 || got.Elapsed < 1 {
		t.Errorf("%+v %s", got, r.err)
	}
}

func TestBenchTxUsage(t *testing.T) {
	for _, c := range []struct {
		flags string
		want  string
	}{
		{"--rollback-rate 1.5", "--rollback-rate 1.5: 0 to 1"}, {"--unknown-rate NaN", "--unknown-rate"}, {"--check-unknown-rate -1", "--check-unknown-rate"},
		{"--inflight 65536", "--inflight 65536: at most 65535"}, {"--linger -1s", "--linger"}, {"--conns 0", "--conns 0: at least 1"}, {"--encoding xml", "json, binary"},
		{"--deadline 5s", "--deadline goes with --pending"}, {"--spread 5s", "--spread goes with --pending"}, {"--pending 0", "--pending 0: 1 to"},
		{"--pending 5 --deadline 1500ms", "--deadline 1.5s: whole seconds"}, {"--pending 5 --spread -1s", `"--spread" flag: "-1s" is no span`},
		{"--pending 5 --deadline 0s", "--deadline 0s"}, {"--pending 5 --rounds 2", "--rounds does not go with --pending"}, {"--pending 5 --oneway", "--oneway does not go"},
	} {
		r := try(t, nil, "", append([]string{"bench", "tx", "--addr", "127.0.0.1:1"}, strings.Fields(c.flags)...)...)
		if r.code != exitUsage || !strings.Contains(r.err, c.want) || r.out != "" {
			t.Errorf("%s: %+v, want %q", c.flags, r, c.want)
		}
	}
	if r := try(t, nil, "", "bench", "tx", "--addr", "127.0.0.1:1"); r.code != exitFailed || !strings.Contains(r.err, "connection refused") {
		t.Errorf("%+v", r)
	}
	if r := try(t, nil, "", "bench", "tx", "--pending", "5", "--addr", "127.0.0.1:1"); r.code != exitFailed || !strings.Contains(r.err, "connection refused") {
		t.Errorf("%+v", r)
	}
}

// TestBenchTxFails has the report shown although the broker was wrong.
func TestBenchTxFails(t *testing.T) {
	h := hdrhistogram.New(1000, int64(time.Minute), 3)
	if err := h.RecordValue(int64(3 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	tx := &bench.TxResult{
		Result: bench.Result{Messages: 10, Elapsed: 2 * time.Second, Latency: h, ServerCPU: time.Millisecond, LoaderCPU: time.Hour}, Half: h, Committed: 4,
		Counts: bench.TxCounts{Sent: 10, Committed: 6, Checks: 3, UnexpectedCheck: 2, DuplicatedCheck: 1, Refused: 1}, Refusal: "604 ILLEGAL_OPERATION: no",
	}
	late := &bench.DeadlineResult{Stored: 5, Checked: 4, Early: 1, Earliest: 1500 * time.Microsecond, Latest: 250 * time.Millisecond, Lateness: h, Half: h, ServerCPU: time.Millisecond}
	for _, format := range []output.Format{output.FormatTable, output.FormatJSON} {
		screen := newScreen()
		f := &benchTxFlags{benchFlags: benchFlags{cluster: cluster{Process: Process{Stdout: screen, Stderr: io.Discard}, display: display{format: format}}}}
		r := newTxReport(f)
		r.add(1, tx)
		r.finish()
		if err := f.report(r, tx.Err()); err == nil || !strings.Contains(err.Error(), "2 checks of transactions") || !strings.Contains(err.Error(), "604") {
			t.Errorf("%v", err)
		}
		if err := f.report(newDeadlineReport(f, late), late.Err()); err == nil || !strings.Contains(err.Error(), "1 of 5") {
			t.Errorf("%v", err)
		}
		want := []string{" 250.00 ", "warning: the loader took", "early                 1                   by up to 1.500 ms", "max 250.0 ms"}
		if format == output.FormatJSON {
			want = []string{`"serverCPUMicrosPerCommit": 250`, `"unexpectedCheck": 2`, `"duplicatedCheck": 1`, `"refusal": "604`, `"early": 1`, `"latestMicros": 250000`}
		}
		for _, w := range want {
			if !strings.Contains(screen.String(), w) {
				t.Errorf("no %q in:\n%s", w, screen)
			}
		}
	}
	r := &txReport{}
	for _, v := range []float64{5, 1, 9} {
		r.Rounds = append(r.Rounds, txFigures{PerSecond: v, Whole: latencies{v, v, v}})
	}
	r.finish()
	if m := r.Median; fmt.Sprint(m.PerSecond, m.Whole.P50, m.Whole.P999) != "5 5 5" {
		t.Errorf("%+v", m)
	}
}
