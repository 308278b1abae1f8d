// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package inspect

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/twostage/twostage/internal/proctest"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/test/rig"
)

// immune is more seconds than any test takes.
const immune = 3600

// serve starts a name server and a broker that gives up on a transaction after
// its first check, so quickly that tests can wait for it.
func serve(t *testing.T, keys ...string) *proctest.Server {
	t.Helper()
	args := []string{"server", "--data", t.TempDir(), "--namesrv-set", "listenPort=0"}
	for _, kv := range append([]string{
		"listenPort=0", "httpListenPort=0", "brokerIP1=127.0.0.1", "brokerName=inspected",
		"transactionTimeOut=300", "transactionCheckInterval=300", "transactionCheckMax=1",
		"mappedFileSizeCommitLog=16777216", "maxHashSlotNum=10000", "maxIndexNum=40000",
	}, keys...) {
		args = append(args, "--set", kv)
	}
	return proctest.Start(t, args...)
}

// killed kills a server and starts it again. Before that it waits until the story
// is written that has word in its last event: kill -9 takes what is younger.
func killed(t *testing.T, s *proctest.Server, word string) {
	t.Helper()
	rig.Poll(t, "the story is written up to "+word, func() error {
		files, err := filepath.Glob(filepath.Join(s.Data, "store", "transactions", "story", "*"))
		if err != nil {
			return err
		}
		for _, name := range files {
			text, err := os.ReadFile(name)
			if err != nil {
				return err
			}
			if bytes.Contains(text, []byte(word)) {
				return nil
			}
		}
		return fmt.Errorf("not in %q", files)
	})
	if err := s.Kill(); err != nil {
		t.Fatal(err)
	}
	s.Restart(t)
}

// command makes a twostage command that lives as long as the test at most.
func command(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(rig.Context(t), proctest.Binary(t), args...)
	cmd.Env = proctest.Environment()
	return cmd
}

// tx runs `twostage tx` against a server and gives what it printed. It must end
// with the code; when that is not 0, what it says must have all the words.
func tx(t *testing.T, s *proctest.Server, code int, args []string, words ...string) string {
	t.Helper()
	cmd := command(t, append(append([]string{"tx"}, args...), "--namesrv", s.Namesrv)...)
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	if have := cmd.ProcessState.ExitCode(); have != code {
		t.Errorf("tx %q ended with %d, want %d:\n%s%s", args, have, code, out.String(), said.String())
	}
	wantWords(t, said.String(), words...)
	return out.String()
}

// table reads what `tx list` prints: rows by key, and the keys in order.
func table(t *testing.T, text string) (rows map[string]map[string]string, keys []string) {
	t.Helper()
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	names := strings.Fields(lines[0])
	if want := []string{"OFFSET", "STATE", "AGE", "CHECKS", "NEXT", "TOPIC", "GROUP", "KEY"}; !slices.Equal(names, want) {
		t.Fatalf("the columns are %q, want %q", names, want)
	}
	rows = make(map[string]map[string]string)
	for _, line := range lines[1:] {
		fields := strings.Fields(line)
		if len(fields) != len(names) {
			t.Fatalf("the row %q", line)
		}
		row := make(map[string]string)
		for i, name := range names {
			row[name] = fields[i]
		}
		rows[row["KEY"]] = row
		keys = append(keys, row["KEY"])
	}
	return rows, keys
}

// api sends a request to the HTTP API, changed by edit if that is not nil, and
// gives the answer.
func api(t *testing.T, s *proctest.Server, method, path string, edit func(*http.Request)) (int, http.Header, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(rig.Context(t), method, "http://"+local(t, s.HTTP)+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/json")
	}
	if edit != nil {
		edit(r)
	}
	c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, resp.Header, string(text)
}

// local is an address's port on the loopback.
func local(t *testing.T, addr string) string {
	t.Helper()
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	return net.JoinHostPort("127.0.0.1", port)
}

// decode reads JSON with all of its fields.
func decode(t *testing.T, text string, v any) {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		t.Fatalf("%v in:\n%s", err, text)
	}
}

// story reads a transaction's story over HTTP.
func story(t *testing.T, s *proctest.Server, id any) *body.TransactionStory {
	t.Helper()
	code, _, text := api(t, s, http.MethodGet, fmt.Sprintf("/api/transactions/%v", id), nil)
	if code != http.StatusOK {
		t.Fatalf("the story of %v: %d %s", id, code, text)
	}
	st := new(body.TransactionStory)
	decode(t, text, st)
	return st
}

// await waits until a transaction has a state.
func await(t *testing.T, s *proctest.Server, id any, state body.TransactionState) *body.TransactionStory {
	t.Helper()
	var st *body.TransactionStory
	rig.Poll(t, fmt.Sprintf("transaction %v is %s", id, state), func() error {
		if st = story(t, s, id); st.Transaction.State != state {
			return fmt.Errorf("it is %s", st.Transaction.State)
		}
		return nil
	})
	return st
}

// kinds are those of a story's events, with outcomes.
func kinds(st *body.TransactionStory) (list []string) {
	for _, e := range st.Events {
		text := string(e.Kind)
		if e.Outcome != "" {
			text += " " + e.Outcome
		}
		list = append(list, text)
	}
	return list
}

// wantKinds holds that a story has these events, in the order of their times,
// which may be equal.
func wantKinds(t *testing.T, st *body.TransactionStory, want ...string) {
	t.Helper()
	have := kinds(st)
	if !slices.Equal(slices.Sorted(slices.Values(have)), slices.Sorted(slices.Values(want))) || have[0] != want[0] {
		t.Errorf("the story of %s is %q, want %q", st.Transaction.Key, have, want)
	}
	if !slices.IsSortedFunc(st.Events, func(a, b body.TransactionEvent) int { return cmp.Compare(a.At, b.At) }) {
		t.Errorf("the story of %s is in another order than that of time: %+v", st.Transaction.Key, st.Events)
	}
}

// operator is who decided a transaction on behalf of its producer.
func operator(t *testing.T, st *body.TransactionStory) string {
	t.Helper()
	at := slices.IndexFunc(st.Events, func(e body.TransactionEvent) bool { return e.Kind == body.EventOperator })
	if at < 0 {
		t.Fatalf("nobody decided %s: %q", st.Transaction.Key, kinds(st))
	}
	return st.Events[at].Who
}

// wantSame holds that a story is told as before. An undecided transaction's next
// check goes by the monotonic clock, which a restart begins anew.
func wantSame(t *testing.T, have, want *body.TransactionStory) {
	t.Helper()
	a, b := *have, *want
	a.Transaction.Age, b.Transaction.Age = 0, 0
	if d := a.Transaction.DueAt - b.Transaction.DueAt; d > -1000 && d < 1000 && b.Transaction.DueAt != 0 {
		a.Transaction.DueAt = b.Transaction.DueAt
	}
	if !reflect.DeepEqual(a, b) {
		t.Errorf("the story of %s was\n%+v\nnow it is\n%+v", want.Transaction.Key, b, a)
	}
}

// wantWords holds that a text has all words.
func wantWords(t *testing.T, text string, words ...string) {
	t.Helper()
	for _, w := range words {
		if !strings.Contains(text, w) {
			t.Errorf("%q is not in:\n%s", w, text)
		}
	}
}

// metric sums a metric over the series that have all of the labels.
func metric(s *proctest.Server, name string, labels ...string) (float64, error) {
	status, text, err := rig.Get(s.HTTP, "/metrics")
	if err != nil || status != http.StatusOK {
		return 0, fmt.Errorf("/metrics: %d %w", status, err)
	}
	sum := 0.0
	for line := range strings.Lines(text) {
		rest, ok := strings.CutPrefix(line, name+"{")
		if !ok {
			continue
		}
		at := strings.LastIndexByte(rest, ' ')
		if slices.ContainsFunc(labels, func(l string) bool { return !strings.Contains(rest[:at], l) }) {
			continue
		}
		v, err := strconv.ParseFloat(strings.TrimSpace(rest[at:]), 64)
		if err != nil {
			return 0, fmt.Errorf("/metrics: %q: %w", line, err)
		}
		sum += v
	}
	return sum, nil
}

// dialled tells whether something answers at an address.
func dialled(ctx context.Context, addr string) bool {
	var d net.Dialer
	c, err := d.DialContext(ctx, "tcp", addr)
	return err == nil && c.Close() == nil
}
