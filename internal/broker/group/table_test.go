// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package group

import (
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/twostage/twostage/internal/vfs"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/message"
)

const (
	now  = 1_700_000_000_000
	file = "/store/config/subscriptionGroup.json"
)

func config(fsys vfs.FS) Config {
	return Config{FS: fsys, Dir: "/store/config", Now: func() int64 { return now }, Logger: slog.New(slog.DiscardHandler), AutoCreate: true}
}

func open(t testing.TB, cfg Config) *Table {
	t.Helper()
	tb, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return tb
}

func tries(name string, n int32) body.SubscriptionGroupConfig {
	c := body.NewSubscriptionGroupConfig(name)
	c.RetryMaxTimes = n
	return c
}

func put(t testing.TB, tb *Table, c body.SubscriptionGroupConfig) {
	t.Helper()
	if err := tb.Put(c); err != nil {
		t.Fatal(err)
	}
}

func withFile(t testing.TB, data []byte) *vfs.Mem {
	t.Helper()
	m := vfs.NewMem()
	if err := errors.Join(m.MkdirAll("/store/config"), vfs.WriteFile(m, file, data)); err != nil {
		t.Fatal(err)
	}
	return m
}

// find is Ensure for tests that ask only whether there is the group.
func find(tb *Table, name string) (*body.SubscriptionGroupConfig, bool) {
	c, err := tb.Ensure(name)
	return c, err == nil
}

// lines is the lines of a config file in sorted order, without commas: the order
// of properties is free.
func lines(data string) []string {
	list := strings.Split(strings.ReplaceAll(data, ",\n", "\n"), "\n")
	slices.Sort(list)
	return list
}

func TestGoldenIsWrittenAsRead(t *testing.T) {
	for _, store := range []string{"store-clean", "store-killed"} {
		data, err := os.ReadFile(filepath.Join("../../../testdata/golden", store, "config/subscriptionGroup.json"))
		if err != nil {
			t.Fatal(err)
		}
		var want body.SubscriptionGroupWrapper
		if err := body.Unmarshal(data, &want); err != nil {
			t.Fatal(err)
		}
		m := withFile(t, data)
		cfg := config(m)
		cfg.Now = func() int64 { return want.DataVersion.Timestamp }
		tb := open(t, cfg)
		if tb.Version() != want.DataVersion || tb.Len() != len(want.SubscriptionGroupTable) {
			t.Errorf("%s: version %+v, %d groups", store, tb.Version(), tb.Len())
		}
		admin := map[string]string{"store-clean": "G_admin_group", "store-killed": "K_admin_group"}[store]
		if c, ok := tb.Get(admin); !ok || c.RetryMaxTimes != 5 || c.RetryQueueNums != 2 || c.ConsumeFromMinEnable {
			t.Errorf("%s: %s is %+v", store, admin, c)
		}
		put(t, tb, tries("New", 1))
		if gone, err := tb.Delete("New"); !gone || err != nil {
			t.Fatal(gone, err)
		}
		written, err := vfs.ReadFile(m, file)
		if err != nil {
			t.Fatal(err)
		}
		counted := strings.Replace(string(written), fmt.Sprintf(`"counter":%d`, want.DataVersion.Counter+2), fmt.Sprintf(`"counter":%d`, want.DataVersion.Counter), 1)
		if !slices.Equal(lines(counted), lines(string(data))) {
			t.Errorf("%s: written as\n%s", store, written)
		}
	}
}

func TestFileOfVersion5KeepsWhatOnlyItKnows(t *testing.T) {
	m := withFile(t, []byte(`{"dataVersion":{"counter":4,"stateVersion":7,"timestamp":5},"forbiddenTable":{"g":{"T":4,"U":2},"h":{"T":4}},
		"subscriptionGroupTable":{"g":{"attributes":{"a":"b"},"brokerId":0,"consumeBroadcastEnable":true,"consumeEnable":true,
		"consumeFromMinEnable":true,"consumeMessageOrderly":true,"consumeTimeoutMinute":20,"groupName":"g","groupSysFlag":1,
		"groupRetryPolicy":{"type":"CUSTOMIZED","customizedRetryPolicy":{"next":[1000]}},
		"notifyConsumerIdsChangedEnable":true,"retryMaxTimes":16,"retryQueueNums":1,"whichBrokerWhenConsumeSlowly":1}}}`))
	tb := open(t, config(m))
	put(t, tb, tries("h", 1))
	if _, err := tb.Delete("h"); err != nil {
		t.Fatal(err)
	}
	tb = open(t, config(m))
	c, ok := tb.Get("g")
	if !ok || c.Attributes["a"] != "b" || !c.ConsumeMessageOrderly || c.ConsumeTimeoutMinute != 20 || c.GroupSysFlag != 1 ||
		c.GroupRetryPolicy == nil || !slices.Equal(c.GroupRetryPolicy.CustomizedRetryPolicy.Next, []int64{1000}) {
		t.Errorf("g is %+v", c)
	}
	if got, want := tb.Version(), (body.DataVersion{Counter: 6, StateVersion: 7, Timestamp: now}); got != want {
		t.Errorf("version %+v, want %+v", got, want)
	}
	for _, c := range []struct {
		group, topic string
		want         bool
	}{{"g", "T", true}, {"g", "U", false}, {"g", "V", false}, {"h", "T", false}, {"x", "T", false}} {
		if got := tb.ReadForbidden([]byte(c.group), []byte(c.topic)); got != c.want {
			t.Errorf("%s may not read %s: %v, want %v", c.group, c.topic, got, c.want)
		}
	}
}

func TestUnreadableFileIsAnErrorWithItsName(t *testing.T) {
	if _, err := Open(config(withFile(t, []byte(`{"subscriptionGroupTable":[]}`)))); err == nil || !strings.Contains(err.Error(), file+".bak") {
		t.Errorf("error %v", err)
	}
}

func TestGroupsOfANewBroker(t *testing.T) {
	tb := open(t, config(vfs.NewMem()))
	all, version := tb.All()
	for _, name := range []string{"TOOLS_CONSUMER", "FILTERSRV_CONSUMER", "SELF_TEST_C_GROUP", "CID_ONS-HTTP-PROXY", "CID_ONSAPI_PULL", "CID_ONSAPI_PERMISSION", "CID_ONSAPI_OWNER"} {
		if c := all[name]; c.GroupName != name || !c.ConsumeEnable || c.RetryMaxTimes != 16 || c.RetryQueueNums != 1 {
			t.Errorf("%s: %+v", name, c)
		}
	}
	if len(all) != 7 || version != (body.DataVersion{Timestamp: now}) {
		t.Errorf("%d groups, version %+v", len(all), version)
	}
}

func TestFindMakesWhatMayBeMade(t *testing.T) {
	m := vfs.NewMem()
	cfg := config(m)
	var told []string
	cfg.OnChange = func(name string) { told = append(told, name) }
	tb := open(t, cfg)
	c, ok := find(tb, "g")
	if !ok || c.GroupName != "g" || c.RetryMaxTimes != 16 || !c.ConsumeEnable {
		t.Fatalf("%+v, %v", c, ok)
	}
	if again, ok := tb.GetBytes([]byte("g")); !ok || again != c {
		t.Errorf("another one the second time: %+v", again)
	}
	if _, ok := tb.GetBytes([]byte("h")); ok {
		t.Error("GetBytes made a group")
	}
	if _, ok := find(tb, "h"); !ok || !slices.Equal(told, []string{"g", "h"}) {
		t.Errorf("told %v", told)
	}
	for _, name := range []string{"", "a@b", "a/b", strings.Repeat("x", 256)} {
		if _, err := tb.Ensure(name); !errors.Is(err, message.ErrName) {
			t.Errorf("%q: %v", name, err)
		}
		if _, ok := find(tb, name); ok {
			t.Errorf("%q was found", name)
		}
	}
	m = m.Crash(vfs.CrashOptions{})
	cfg = config(m)
	cfg.AutoCreate = false
	tb = open(t, cfg)
	if _, ok := find(tb, "g"); !ok {
		t.Error("g is lost")
	}
	if _, err := tb.Ensure("new"); !errors.Is(err, ErrNoGroup) || strings.Contains(err.Error(), "twostage group") ||
		!strings.Contains(err.Error(), "autoCreateSubscriptionGroup=true") || !strings.Contains(err.Error(), "mqadmin updateSubGroup -g new") {
		t.Errorf("autoCreateSubscriptionGroup=false: %v", err)
	}
	if _, ok := find(tb, message.SystemGroupPrefix+"X"); !ok {
		t.Error("a system group is not made with autoCreateSubscriptionGroup=false")
	}
}

func TestConcurrentFindCreatesOnce(t *testing.T) {
	tb := open(t, config(vfs.NewMem()))
	var wg sync.WaitGroup
	found := make([]*body.SubscriptionGroupConfig, 16)
	for i := range found {
		wg.Go(func() { found[i], _ = find(tb, "g") })
	}
	wg.Wait()
	for _, c := range found {
		if c == nil || c != found[0] {
			t.Fatal("not the same group for all")
		}
	}
	if got := tb.Version().Counter; got != 1 {
		t.Errorf("counter %d", got)
	}
}

func TestPutRefuses(t *testing.T) {
	tb := open(t, config(vfs.NewMem()))
	for says, change := range map[string]func(*body.SubscriptionGroupConfig){
		"is empty":              func(c *body.SubscriptionGroupConfig) { c.GroupName = "" },
		"retryQueueNums -1":     func(c *body.SubscriptionGroupConfig) { c.RetryQueueNums = -1 },
		"retryQueueNums 65536":  func(c *body.SubscriptionGroupConfig) { c.RetryQueueNums = 65536 },
		"brokerId -1":           func(c *body.SubscriptionGroupConfig) { c.BrokerID = -1 },
		"ConsumeSlowly -2 must": func(c *body.SubscriptionGroupConfig) { c.WhichBrokerWhenConsumeSlowly = -2 },
	} {
		c := tries("g", 1)
		change(&c)
		if err := tb.Put(c); err == nil || !strings.Contains(err.Error(), says) || !errors.Is(err, ErrConfig) && !errors.Is(err, message.ErrName) {
			t.Errorf("%s: error %v", says, err)
		}
	}
	if tb.Len() != len(own) {
		t.Error("a refused group is there")
	}
}

func TestLookupsDoNotAllocate(t *testing.T) {
	tb := open(t, config(vfs.NewMem()))
	name, topic := []byte(message.GroupTools), []byte("T")
	if n := testing.AllocsPerRun(100, func() {
		tb.GetBytes(name)
		find(tb, message.GroupTools)
		tb.ReadForbidden(name, topic)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// fail makes the operation number n that changes something do what do says.
func fail(m *vfs.Mem, n int, do func() error) {
	i := 0
	m.Fail(func(op vfs.Op, _ string) error {
		if !op.Changes() {
			return nil
		}
		i++
		if i == n+1 {
			return do()
		}
		return nil
	})
}

// base is a table with g, 1 try, and h.
func base(t *testing.T) (*vfs.Mem, *Table) {
	m := vfs.NewMem()
	tb := open(t, config(m))
	put(t, tb, tries("h", 3))
	put(t, tb, tries("g", 1))
	return m, tb
}

// A cut at any operation of Put and Delete leaves the state before or after it,
// and what was answered before is there.
func TestPowerCutAtEachOperation(t *testing.T) {
	errCut := errors.New("cut")
	for what, change := range map[string]func(*Table) error{
		"put":    func(tb *Table) error { return tb.Put(tries("g", 9)) },
		"delete": func(tb *Table) error { _, err := tb.Delete("g"); return err },
	} {
		before, after := 0, 0
		for cut, done := 0, false; !done; cut++ {
			for seed := range uint64(12) {
				o := vfs.CrashOptions{Data: vfs.KeepSome, Names: vfs.KeepSome, Rand: rand.New(rand.NewPCG(seed, 1))}
				if seed == 0 {
					o = vfs.CrashOptions{}
				}
				m, tb := base(t)
				var left *vfs.Mem
				fail(m, cut, func() error { left = m.Crash(o); return errCut })
				err := change(tb)
				if done = left == nil; done {
					if err != nil || cut < 5 {
						t.Fatalf("%s: %v after %d operations", what, err, cut)
					}
					break
				}
				if c, ok := tb.Get("g"); err == nil || !ok || c.RetryMaxTimes != 1 {
					t.Fatalf("%s, cut %d: %v, %+v", what, cut, err, c)
				}
				now, err := Open(config(left))
				if err != nil {
					t.Fatalf("%s, cut %d: %v", what, cut, err)
				}
				if h, ok := now.Get("h"); !ok || h.RetryMaxTimes != 3 {
					t.Fatalf("%s, cut %d: h is %+v", what, cut, h)
				}
				switch g, ok := now.Get("g"); {
				case ok && g.RetryMaxTimes == 1 && now.Version().Counter == 2:
					before++
				case ok == (what == "put") && (!ok || g.RetryMaxTimes == 9) && now.Version().Counter == 3:
					after++
				default:
					t.Fatalf("%s, cut %d: g is %+v, version %+v", what, cut, g, now.Version())
				}
			}
		}
		if before == 0 || after == 0 {
			t.Errorf("%s: %d cuts left the old table, %d the new one", what, before, after)
		}
	}
}

func TestWriteErrorLeavesTheTable(t *testing.T) {
	errDisk := errors.New("disk")
	m, tb := base(t)
	fail(m, 0, func() error { return errDisk })
	version := tb.Version()
	if _, err := tb.Ensure("new"); !errors.Is(err, errDisk) {
		t.Errorf("Ensure: %v", err)
	}
	fail(m, 0, func() error { return errDisk })
	if _, ok := find(tb, "new"); ok {
		t.Error("Find gave a group that could not be written")
	}
	fail(m, 0, func() error { return errDisk })
	if gone, err := tb.Delete("g"); gone || !errors.Is(err, errDisk) {
		t.Errorf("Delete: %v, %v", gone, err)
	}
	if _, ok := tb.Get("g"); !ok || tb.Version() != version {
		t.Error("the table has changed")
	}
	m.Fail(nil)
	if _, ok := find(tb, "new"); !ok {
		t.Error("no group after the fault")
	}
	tb = open(t, config(m.Crash(vfs.CrashOptions{})))
	if _, ok := tb.Get("new"); !ok {
		t.Error("new is lost")
	}
}
