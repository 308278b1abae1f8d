// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

func TestTopics(t *testing.T) {
	env, s := serve(t)
	if out := must(t, env, "topic", "create", "orders", "--queues", "2"); !regexp.MustCompile(`^created topic=orders broker=broker-a addr=\S+ queues=2\n$`).MatchString(out) {
		t.Errorf("create: %q", out)
	}
	if out := must(t, env, "topic", "list"); out != "orders\n" {
		t.Errorf("list: %q", out)
	}
	if out := must(t, env, "topic", "list", "--all"); !strings.Contains(out, "TBW102\n") || !strings.Contains(out, "orders\n") {
		t.Errorf("list --all: %q", out)
	}
	if out := must(t, env, "topic", "route", "orders"); !regexp.MustCompile(`\nbroker-a +DefaultCluster +2 +2 +RW- +0=\S+\n$`).MatchString(out) {
		t.Errorf("route: %q", out)
	}
	sent := regexp.MustCompile(`(?m)^sent id=(\w+) broker=broker-a queue=[01] offset=\d+ offset-id=\w{32}$`)
	out := must(t, env, "topic", "send", "orders", "hello", "--tag", "A", "--key", "k1", "--key", "k2", "--property", "x=y=z", "--count", "4")
	ids := sent.FindAllStringSubmatch(out, -1)
	if len(ids) != 4 {
		t.Errorf("send: %q", out)
	}
	if r := try(t, env, "from\nstdin", "topic", "send", "orders", "--queue", "broker-a/1"); r.code != 0 || !strings.Contains(r.out, "queue=1 ") {
		t.Errorf("send from stdin: %+v", r)
	}
	lines := strings.Split(strings.TrimSpace(must(t, env, "topic", "tail", "orders", "--from-start")), "\n")
	if len(lines) != 5 || !regexp.MustCompile(`^\S+ broker-a/[01]@0 id=\w+ tag=A keys=k1,k2 hello$`).MatchString(lines[0]) || !strings.HasSuffix(lines[4], ` "from\nstdin"`) {
		t.Errorf("tail: %q", lines)
	}
	var m shown
	if err := json.Unmarshal([]byte(must(t, env, "topic", "tail", "orders", "-n", "1", "--json")), &m); err != nil || *m.Body != "from\nstdin" || m.Queue != 1 {
		t.Errorf("tail --json: %+v, %v", m, err)
	}
	follow := begin(t, env, "topic", "tail", "orders", "-n", "0", "--follow")
	must(t, env, "topic", "send", "orders", "first after the tail began, or before")
	for i := range 10 { // the tail may have begun after the first of them
		must(t, env, "topic", "send", "orders", fmt.Sprint("later ", i))
	}
	follow.out.await(t, "later 9")
	if code := follow.stop(); code != 0 {
		t.Errorf("an interrupted tail ends with %d", code)
	}
	if r := try(t, env, "", "topic", "delete", "orders"); r.code != exitUsage || !strings.Contains(r.err, "--yes") {
		t.Errorf("delete: %+v", r)
	}
	must(t, env, "topic", "delete", "orders", "--yes")
	if out := must(t, env, "topic", "list"); out != "" {
		t.Errorf("list after delete: %q", out)
	}
	if r := try(t, env, "", "topic", "tail", "orders"); r.code != exitFailed || !strings.Contains(r.err, "twostage topic create") {
		t.Errorf("tail after delete: %+v", r)
	}
	if code := s.stop(); code != 0 {
		t.Errorf("the server ends with %d", code)
	}
}

func TestTransactions(t *testing.T) {
	env, _ := serve(t, "--set", "transactionTimeOut=200", "--set", "transactionCheckInterval=100")
	must(t, env, "topic", "create", "orders", "--queues", "1")
	half := regexp.MustCompile(`^half id=(\w+) broker=broker-a queue=0 offset=\d+ offset-id=\w+ transaction-id=\w+ commit-log-offset=\d+\nended outcome=(\w+)\n`)
	for _, c := range []struct {
		body string
		args []string
		want string
	}{
		{"committed", nil, "commit"},
		{"rolled back", []string{"--outcome", "rollback"}, "rollback"},
		{"left open", []string{"--outcome", "unknown", "--wait", "0"}, "unknown"},
		{"checked yes", []string{"--outcome", "unknown", "--check-answer", "commit"}, "unknown"},
		{"checked no", []string{"--outcome", "unknown", "--check-answer", "rollback"}, "unknown"},
	} {
		out := must(t, env, append([]string{"tx", "send", "orders", c.body}, c.args...)...)
		m := half.FindStringSubmatch(out)
		if m == nil || m[2] != c.want {
			t.Fatalf("%s: %q", c.body, out)
		}
		checked := strings.Contains(out, "check-back id="+m[1]+" answer=")
		if want := strings.HasPrefix(c.body, "checked"); checked != want {
			t.Errorf("%s: %q", c.body, out)
		}
	}
	follow := begin(t, env, "topic", "tail", "orders", "--from-start", "--follow")
	follow.out.await(t, "checked yes")
	if out := follow.out.String(); !strings.Contains(out, " committed\n") || strings.Contains(out, "rolled") || strings.Contains(out, "open") || strings.Contains(out, "checked no") {
		t.Errorf("visible: %s", out)
	}
	r := try(t, env, "", "tx", "send", "orders", "x", "--outcome", "unknown", "--check-answer", "unknown", "--wait", "600ms")
	if r.code != exitFailed || !strings.Contains(r.err, "no check-back came") && !strings.Contains(r.out, "answer=unknown") {
		t.Errorf("%+v", r)
	}
}

func TestServerFlags(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "broker.conf")
	if err := os.WriteFile(file, []byte("brokerName=from-file\nlistenPort=1111\nmaxMessageSize=1000\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	env := []string{"TWOSTAGE_MAXMESSAGESIZE=2000", "TWOSTAGE_NAMESRV=ignored:1", "TWOSTAGE_DATA=" + dir}
	out := must(t, env, "server", "--print-config", "-c", file, "--set", "listenPort=2222", "--namesrv", "10.0.0.1:9876;10.0.0.2:9876", "--namesrv-set", "listenPort=3333")
	for _, line := range []string{
		"# broker", "brokerName=from-file", "listenPort=2222", "maxMessageSize=2000", "namesrvAddr=10.0.0.1:9876;10.0.0.2:9876",
		"storePathRootDir=" + filepath.Join(dir, "store"), "# name server", "listenPort=3333", "kvConfigPath=" + filepath.Join(dir, "namesrv", "kvConfig.json"),
	} {
		if !strings.Contains(out, line+"\n") {
			t.Errorf("no %q", line)
		}
	}
	if out := must(t, nil, "server", "--print-config", "--role", "namesrv"); strings.Contains(out, "# broker") {
		t.Error("a name server shows a broker's keys")
	}
	for want, args := range map[string][]string{
		"accepted are all, namesrv, broker": {"--role", "both"},
		`"x" is not key=value`:              {"--set", "x"},
		"twice: 1 and 2":                    {"--set", "listenPort=1", "--set", "listenPort=2"},
		"say different things":              {"--set", "namesrvAddr=a:1", "--namesrv", "b:1"},
		"is for a broker":                   {"--role", "namesrv", "--namesrv", "b:1"},
		"accepted are debug":                {"--log-level", "loud"},
		"accepted are text":                 {"--log-format", "xml"},
		"unknown flag":                      {"--nonsense"},
		"1 arguments":                       {"extra"},
	} {
		if r := try(t, nil, "", append([]string{"server"}, args...)...); r.code != exitUsage || !strings.Contains(r.err, want) || !strings.Contains(r.err, "twostage server --help") {
			t.Errorf("%q: %+v", args, r)
		}
	}
	for want, args := range map[string][]string{
		"did you mean listenPort?":  {"--set", "lisenPort=1"},
		"aclEnable=true":            {"--set", "aclEnable=true"},
		"no such file":              {"-c", filepath.Join(dir, "none")},
		"no such file or directory": {"--namesrv-config", filepath.Join(dir, "none")},
		"flag brokerRole=SLAVE: ":   {"--set", "brokerRole=SLAVE"},
	} {
		if r := try(t, nil, "", append([]string{"server", "--data", dir}, args...)...); r.code != exitFailed || !strings.Contains(r.err, want) {
			t.Errorf("%q: %+v", args, r)
		}
	}
}

func TestServerLogsAndStops(t *testing.T) {
	env, s := serve(t, "--log-format", "json", "--log-level", "debug")
	for line := range strings.Lines(s.err.String()) {
		if !json.Valid([]byte(line)) {
			t.Errorf("log line %q", line)
		}
	}
	port := env[1][strings.LastIndexByte(env[1], ':')+1:]
	r := try(t, nil, "", "server", "--data", t.TempDir(), "--set", "bindAddress=127.0.0.1", "--set", "listenPort="+port, "--set", "httpListenPort=0", "--namesrv-set", "listenPort=0")
	if r.code != exitFailed || !strings.Contains(r.err, "listenPort="+port) || !strings.Contains(r.err, "--set listenPort=PORT") || strings.Contains(r.out, "ready") {
		t.Errorf("on a taken port: %+v", r)
	}
	if code := s.stop(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

func TestReadyLineOfABrokerElsewhere(t *testing.T) {
	dir := t.TempDir()
	s := begin(t, nil, "server", "--role", "broker", "--data", filepath.Join(dir, "data"), "--set", "storePathRootDir="+filepath.Join(dir, "elsewhere"),
		"--set", "listenPort=0", "--set", "httpListenPort=0", "--set", "bindAddress=127.0.0.1", "--set", "mappedFileSizeCommitLog=1048576")
	s.out.await(t, `^ready broker=\S+ http=\S+ admin=loopback data=`+regexp.QuoteMeta(filepath.Join(dir, "elsewhere"))+"\n$")
}

func TestErrors(t *testing.T) {
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"topic", "list", "--namesrv", "127.0.0.1:1"}, exitFailed, "start one with `twostage server`"},
		{[]string{"topic", "send", "T", "x", "--namesrv", "127.0.0.1:1"}, exitFailed, "start one with `twostage server`"},
		{[]string{"topic", "tail", "T", "--namesrv", "127.0.0.1:1"}, exitFailed, "start one with `twostage server`"},
		{[]string{"tx", "send", "T", "x", "--namesrv", "127.0.0.1:1"}, exitFailed, "start one with `twostage server`"},
		{[]string{"bench", "send", "--namesrv", "127.0.0.1:1"}, exitFailed, "start one with `twostage server`"},
		{[]string{"bench", "send", "--addr", "127.0.0.1:1"}, exitFailed, "connection refused"},
		{[]string{"tx", "list", "--broker", "127.0.0.1:1"}, exitFailed, "nothing listens there; `twostage broker list`"},
		{[]string{"broker", "show", "127.0.0.1:1", "--namesrv", "127.0.0.1:1"}, exitFailed, "nothing listens there"},
		{[]string{"topic", "list", "--namesrv", "nowhere"}, exitUsage, "not HOST:PORT"},
		{[]string{"topic", "list", "--namesrv", ";"}, exitUsage, "empty"},
		{[]string{"topic", "lst"}, exitUsage, "did you mean list"},
		{[]string{"nonsense"}, exitUsage, "no command"},
		{[]string{"topic", "create"}, exitUsage, "0 arguments"},
		{[]string{"topic", "create", "T", "--perm", "x"}, exitUsage, "accepted are rw, r, w"},
		{[]string{"topic", "send", "T"}, exitFailed, "no body"},
		{[]string{"topic", "send", "T", "x", "--count", "0"}, exitUsage, "--count"},
		{[]string{"topic", "send", "T", "x", "--queue", "3"}, exitUsage, "BROKER/ID"},
		{[]string{"topic", "send", "T", "x", "--property", "KEYS=x"}, exitUsage, "reserved"},
		{[]string{"topic", "send", "T", "x", "--property", "novalue"}, exitUsage, "name=value"},
		{[]string{"topic", "tail", "T", "-n", "-1"}, exitUsage, "at least 0"},
		{[]string{"tx", "send", "T", "x", "--outcome", "maybe"}, exitUsage, "accepted are commit, rollback, unknown"},
		{[]string{"tx", "send", "T", "x", "--check-answer", "maybe"}, exitUsage, "--check-answer"},
		{[]string{"bench", "send", "--conns", "0"}, exitUsage, "--conns"},
		{[]string{"bench", "send", "--encoding", "xml"}, exitUsage, "json, binary"},
		{[]string{"bench", "floor", "--addr", "nowhere"}, exitFailed, "--addr"},
	} {
		if r := try(t, nil, "", c.args...); r.code != c.code || !strings.Contains(r.err, c.want) || r.out != "" {
			t.Errorf("%q: %+v, want %d and %q", c.args, r, c.code, c.want)
		}
	}
	for _, args := range [][]string{{}, {"topic"}, {"tx"}, {"bench"}, {"--help"}, {"server", "--help"}, {"bench", "send", "--help"}} {
		if out := must(t, nil, args...); !strings.Contains(out, "Usage:") {
			t.Errorf("%q: %q", args, out)
		}
	}
	if out := must(t, nil, "version"); !strings.HasPrefix(out, "twostage ") || strings.Count(out, "\n") != 1 {
		t.Errorf("version: %q", out)
	}
}

func TestBench(t *testing.T) {
	env, _ := serve(t)
	env = append(env, asProgram+"=1", "PATH="+os.Getenv("PATH"))
	load := []string{"--duration", "300ms", "--warmup", "50ms", "--conns", "2"}
	r := try(t, env, "", append([]string{"bench", "send", "--floor", "--rounds", "2", "--inflight", "4", "--queues", "4", "--size", "100", "--json", "--pid", strconv.Itoa(os.Getpid())}, load...)...)
	var got report
	if err := json.Unmarshal([]byte(r.out), &got); r.code != 0 || err != nil {
		t.Fatalf("%+v, %v", r, err)
	}
	if len(got.Rounds) != 4 || len(got.Medians) != 2 || got.Ratios == nil || got.Ratios.Throughput <= 0 || got.Inflight != 4 || got.Size != 100 {
		t.Fatalf("%+v", got)
	}
	for i, want := range []string{"floor", "broker", "floor", "broker"} {
		if g := got.Rounds[i]; g.Subject != want || g.Round != i/2+1 || g.Messages < 1 || g.P50 <= 0 || g.P99 < g.P50 || g.P999 < g.P99 {
			t.Errorf("round %d: %+v", i, g)
		}
	}
	out := must(t, env, append([]string{"bench", "consume"}, load...)...)
	if !regexp.MustCompile(`\n +broker 1 +[1-9]\d* `).MatchString(out) {
		t.Errorf("consume: %q", out)
	}
	out = must(t, env, append([]string{"bench", "send", "--encoding", "binary", "--addr", strings.TrimPrefix(env[1], "BROKER="), "--topic", benchTopic, "--queues", "4"}, load...)...)
	if !regexp.MustCompile(`\n +broker 1 +[1-9]\d* `).MatchString(out) {
		t.Errorf("send --addr: %q", out)
	}
	floor := begin(t, nil, "bench", "floor")
	addr := floor.out.await(t, `^ready floor=(\S+)\n$`)[1]
	must(t, nil, append([]string{"bench", "send", "--addr", addr}, load...)...)
	if code := floor.stop(); code != 0 {
		t.Errorf("floor ends with %d", code)
	}
}

func TestMedianAndWarnings(t *testing.T) {
	r := &report{}
	for i, v := range []float64{30, 10, 20} {
		r.Rounds = append(r.Rounds, figures{Subject: "broker", Round: i, PerSecond: v, P50: v, LoaderShare: 0.6})
	}
	for i, v := range []float64{100, 300} {
		r.Rounds = append(r.Rounds, figures{Subject: "floor", Round: i, PerSecond: v, P50: 10, LoaderShare: 0.9})
	}
	r.finish()
	if len(r.Medians) != 2 || r.Medians[0].PerSecond != 200 || r.Medians[1].PerSecond != 20 || r.Ratios.Throughput != 0.1 || r.Ratios.P50 != 2 {
		t.Errorf("%+v %+v", r.Medians, r.Ratios)
	}
	if len(r.Warnings) != 1 || !strings.Contains(r.Warnings[0], "60%") {
		t.Errorf("%q", r.Warnings)
	}
}
