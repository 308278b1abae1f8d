// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package topic

import (
	"errors"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/twostage/twostage/internal/vfs"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/message"
)

const now = 1_700_000_000_000

func config(fsys vfs.FS) Config {
	return Config{
		FS: fsys, Dir: "/store/config", Now: func() int64 { return now }, Logger: slog.New(slog.DiscardHandler),
		System: System{Cluster: "DefaultCluster", Broker: "broker-a", AutoCreate: true, DefaultQueues: 8, ClusterTopic: true, BrokerTopic: true},
	}
}

func open(t testing.TB, cfg Config) *Table {
	t.Helper()
	tb, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return tb
}

func put(t testing.TB, tb *Table, name string) {
	t.Helper()
	if err := tb.Put(body.NewTopicConfig(name), ""); err != nil {
		t.Fatal(err)
	}
}

// golden is a file that 4.9.8 wrote.
func golden(t testing.TB, store, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("../../../testdata/golden", store, "config", name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func withFile(t testing.TB, name string, data []byte) *vfs.Mem {
	t.Helper()
	m := vfs.NewMem()
	if err := errors.Join(m.MkdirAll("/store/config"), vfs.WriteFile(m, "/store/config/"+name, data)); err != nil {
		t.Fatal(err)
	}
	return m
}

// lines is the lines of a config file in sorted order, without commas: the order
// of properties is free.
func lines(data []byte) []string {
	list := strings.Split(strings.ReplaceAll(string(data), ",\n", "\n"), "\n")
	slices.Sort(list)
	return list
}

func TestGoldenIsWrittenAsRead(t *testing.T) {
	for _, store := range []string{"store-clean", "store-killed"} {
		data := golden(t, store, "topics.json")
		var want body.TopicConfigSerializeWrapper
		if err := body.Unmarshal(data, &want); err != nil {
			t.Fatal(err)
		}
		m := withFile(t, "topics.json", data)
		cfg := config(m)
		cfg.Now = func() int64 { return want.DataVersion.Timestamp }
		tb := open(t, cfg)
		topics, version := tb.All()
		if version != want.DataVersion {
			t.Errorf("%s: version %+v, want %+v", store, version, want.DataVersion)
		}
		for name, c := range want.TopicConfigTable {
			if got := topics[name]; got.TopicName != name || got.Perm != c.Perm || got.ReadQueueNums != c.ReadQueueNums || got.Order != c.Order {
				t.Errorf("%s: %s is %+v, want %+v", store, name, got, c)
			}
		}
		put(t, tb, "New")
		if _, err := tb.Delete("New"); err != nil { // not in the file
			t.Fatal(err)
		}
		written, err := vfs.ReadFile(m, "/store/config/topics.json")
		if err != nil {
			t.Fatal(err)
		}
		counted := strings.Replace(string(written), `"counter":`+itoa(want.DataVersion.Counter+2), `"counter":`+itoa(want.DataVersion.Counter), 1)
		if got, want := lines([]byte(counted)), lines(data); !slices.Equal(got, want) {
			t.Errorf("%s: written as\n%s", store, written)
		}
	}
}

func itoa(n int64) string { return strconv.FormatInt(n, 10) }

func TestFileOfVersion5KeepsWhatOnlyItKnows(t *testing.T) {
	m := withFile(t, "topics.json", []byte(`{"dataVersion":{"counter":4,"stateVersion":7,"timestamp":5},
		"topicConfigTable":{"T":{"attributes":{"message.type":"FIFO"},"order":false,"perm":6,"readQueueNums":3,
		"topicFilterType":"SINGLE_TAG","topicName":"T","topicSysFlag":0,"writeQueueNums":3}}}`))
	put(t, open(t, config(m)), "U")
	tb := open(t, config(m))
	if c, ok := tb.Get("T"); !ok || c.Attributes["message.type"] != "FIFO" || c.ReadQueueNums != 3 {
		t.Errorf("T is %+v", c)
	}
	if got, want := tb.Version(), (body.DataVersion{Counter: 5, StateVersion: 7, Timestamp: now}); got != want {
		t.Errorf("version %+v, want %+v", got, want)
	}
}

func TestUnreadableFileIsAnErrorWithItsName(t *testing.T) {
	m := withFile(t, "topics.json", []byte(`{"topicConfigTable":{`))
	if _, err := Open(config(m)); err == nil || !strings.Contains(err.Error(), "/store/config/topics.json.bak") {
		t.Errorf("error %v", err)
	}
}

func TestSystemTopicsOfANewBroker(t *testing.T) {
	cfg := config(vfs.NewMem())
	cfg.System.TraceTopic = "Traces"
	tb := open(t, cfg)
	want := map[string][2]int32{ // queues, perm
		"SELF_TEST_TOPIC": {1, 6}, "TBW102": {8, 7}, "BenchmarkTest": {1024, 6}, "DefaultCluster": {16, 7},
		"broker-a": {1, 7}, "OFFSET_MOVED_EVENT": {1, 6}, "SCHEDULE_TOPIC_XXXX": {18, 6}, "Traces": {1, 6},
		"DefaultCluster_REPLY_TOPIC": {1, 6}, "RMQ_SYS_TRANS_HALF_TOPIC": {1, 6},
	}
	topics, _ := tb.All()
	if got := slices.Sorted(maps.Keys(topics)); !slices.Equal(got, slices.Sorted(maps.Keys(want))) {
		t.Fatalf("topics %v", got)
	}
	for name, w := range want {
		c := topics[name]
		if c.ReadQueueNums != w[0] || c.WriteQueueNums != w[0] || c.Perm != w[1] {
			t.Errorf("%s: %+v, want %d queues, perm %d", name, c, w[0], w[1])
		}
		if !tb.IsSystem(name) {
			t.Errorf("%s is no system topic", name)
		}
		if err := tb.Put(c, ""); !errors.Is(err, ErrSystem) {
			t.Errorf("Put of %s: %v", name, err)
		}
		if gone, err := tb.Delete(name); !errors.Is(err, ErrSystem) || gone != nil {
			t.Errorf("Delete of %s: %v, %v", name, gone, err)
		}
	}
	cfg = config(vfs.NewMem())
	cfg.System.ClusterTopic, cfg.System.BrokerTopic = false, false
	tb = open(t, cfg)
	for _, name := range []string{"DefaultCluster", "broker-a"} {
		if c, _ := tb.Get(name); c.Perm != PermInherit {
			t.Errorf("%s has perm %d", name, c.Perm)
		}
	}
}

func TestTheFileWinsButForTheModel(t *testing.T) {
	m := vfs.NewMem()
	put(t, open(t, config(m)), "T") // writes the system topics, too
	cfg := config(m)
	cfg.System.DefaultQueues, cfg.System.ClusterTopic = 3, false
	tb := open(t, cfg)
	if c, _ := tb.Get(message.TopicAutoCreate); c.WriteQueueNums != 3 {
		t.Errorf("the model has %d queues, defaultTopicQueueNums is 3", c.WriteQueueNums)
	}
	if c, _ := tb.Get("DefaultCluster"); c.Perm != 7 {
		t.Errorf("the cluster's topic has perm %d, 7 is in the file", c.Perm)
	}
	cfg.System.AutoCreate = false
	if _, ok := open(t, cfg).Get(message.TopicAutoCreate); ok {
		t.Error("the model is there with autoCreateTopicEnable=false")
	}
}

func TestPutRefuses(t *testing.T) {
	m := vfs.NewMem()
	tb := open(t, config(m))
	good := body.NewTopicConfig("T")
	for what, change := range map[string]func(*body.TopicConfig){
		"is empty":             func(c *body.TopicConfig) { c.TopicName = "" },
		"128 bytes":            func(c *body.TopicConfig) { c.TopicName = strings.Repeat("x", 128) },
		`"a/b"`:                func(c *body.TopicConfig) { c.TopicName = "a/b" },
		"readQueueNums -1":     func(c *body.TopicConfig) { c.ReadQueueNums = -1 },
		"writeQueueNums 65536": func(c *body.TopicConfig) { c.WriteQueueNums = 65536 },
		"perm 8":               func(c *body.TopicConfig) { c.Perm = 8 },
	} {
		c := good
		change(&c)
		if err := tb.Put(c, ""); !errors.Is(err, message.ErrName) || !strings.Contains(err.Error(), what) {
			t.Errorf("%s: error %v", what, err)
		}
	}
	if _, _, err := m.Stat("/store/config/topics.json"); err == nil {
		t.Error("a file was written")
	}
}

func TestAutoCreate(t *testing.T) {
	tb := open(t, config(vfs.NewMem()))
	for _, c := range []struct {
		name, model       string
		ask, queues, perm int32
	}{
		{"fewer", "TBW102", 4, 4, 6}, {"more", "TBW102", 16, 8, 6}, {"none", "TBW102", -3, 0, 6}, {"cluster", "DefaultCluster", 100, 16, 6},
	} {
		got, created, err := tb.AutoCreate(c.name, c.model, c.ask, 2)
		if err != nil || !created || got.ReadQueueNums != c.queues || got.WriteQueueNums != c.queues || got.Perm != c.perm || got.TopicSysFlag != 2 {
			t.Errorf("%s: %+v, %v, %v", c.name, got, created, err)
		}
		again, created, err := tb.AutoCreate(c.name, "missing", 1, 0)
		if err != nil || created || again.ReadQueueNums != c.queues {
			t.Errorf("%s again: %+v, %v, %v", c.name, again, created, err)
		}
	}
	for _, c := range []struct{ name, model, says string }{
		{"x", "missing", "twostage topic create x"}, {"x", "SELF_TEST_TOPIC", "no permission to inherit"},
	} {
		if _, _, err := tb.AutoCreate(c.name, c.model, 4, 0); !errors.Is(err, ErrNoTopic) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("after %s: %v", c.model, err)
		}
	}
	if _, _, err := tb.AutoCreate("a b", "TBW102", 4, 0); !errors.Is(err, message.ErrName) {
		t.Errorf("bad name: %v", err)
	}
}

func TestEnsure(t *testing.T) {
	m := vfs.NewMem()
	tb := open(t, config(m))
	long := message.RetryTopic(strings.Repeat("g", 200))
	c, err := tb.Ensure(long, 2, PermRead|PermWrite, 1)
	if err != nil || c.ReadQueueNums != 2 || c.WriteQueueNums != 2 || c.Perm != 6 || c.TopicSysFlag != 1 {
		t.Fatalf("%+v, %v", c, err)
	}
	version := tb.Version()
	if again, err := tb.Ensure(long, 5, 2, 0); err != nil || again.ReadQueueNums != 2 || tb.Version() != version {
		t.Errorf("again: %+v, %v, version %+v", again, err, tb.Version())
	}
	for _, name := range []string{"", message.RetryTopic("../x"), message.RetryTopic(strings.Repeat("g", 250))} {
		if _, err := tb.Ensure(name, 1, 6, 0); !errors.Is(err, message.ErrName) {
			t.Errorf("%q: %v", name, err)
		}
	}
	if c, ok := open(t, config(m)).Get(long); !ok || c.TopicSysFlag != 1 {
		t.Error("not in the file")
	}
}

func TestConcurrentCreationCreatesOnce(t *testing.T) {
	var told []string
	cfg := config(vfs.NewMem())
	cfg.OnChange = func(names []string) { told = append(told, names...) } // not concurrently: -race
	tb := open(t, cfg)
	var wg sync.WaitGroup
	made := make(chan string, 64)
	for i := range 32 {
		wg.Go(func() {
			name := []string{"A", "B"}[i%2]
			c, created, err := tb.AutoCreate(name, "TBW102", int32(i%2+1), 0)
			if err != nil || c.TopicName != name || c.WriteQueueNums != int32(i%2+1) {
				t.Errorf("%+v, %v", c, err)
			}
			if created {
				made <- name
			}
			if got, ok := tb.Find([]byte(name)); !ok || got.TopicName != name {
				t.Errorf("%s is not there after its creation", name)
			}
		})
	}
	wg.Wait()
	close(made)
	var names []string
	for name := range made {
		names = append(names, name)
	}
	slices.Sort(names)
	slices.Sort(told)
	if want := []string{"A", "B"}; !slices.Equal(names, want) || !slices.Equal(told, want) {
		t.Errorf("created %v, told %v", names, told)
	}
	if got := tb.Version().Counter; got != 2 {
		t.Errorf("counter %d after 2 changes", got)
	}
}

func TestDelete(t *testing.T) {
	m := vfs.NewMem()
	cfg := config(m)
	var told [][]string
	cfg.OnChange = func(names []string) { told = append(told, names) }
	tb := open(t, cfg)
	put(t, tb, "A")
	put(t, tb, "B")
	gone, err := tb.Delete("A", "missing", "A")
	if err != nil || !slices.Equal(gone, []string{"A"}) {
		t.Errorf("gone %v, %v", gone, err)
	}
	if gone, err := tb.Delete("missing"); gone != nil || err != nil || len(told) != 3 {
		t.Errorf("gone %v, %v, told %v", gone, err, told)
	}
	left := open(t, config(m.Crash(vfs.CrashOptions{})))
	if _, ok := left.Get("A"); ok {
		t.Error("A is back after a crash")
	}
	if _, ok := left.Get("B"); !ok || left.Len() != tb.Len() {
		t.Error("B is gone")
	}
}

func TestLookupsDoNotAllocate(t *testing.T) {
	tb := open(t, config(vfs.NewMem()))
	name := []byte(message.TopicBenchmark)
	if n := testing.AllocsPerRun(100, func() {
		tb.Find(name)
		tb.Get(message.TopicBenchmark)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
