// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twostage/twostage/internal/admin"
	"github.com/twostage/twostage/internal/broker/handler"
	"github.com/twostage/twostage/internal/remoting"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/body"
)

// desk is the transactions of a broker that only the inspector knows.
type desk struct {
	mu    sync.Mutex
	all   []body.Transaction
	calls []string
}

// newDesk has transactions stored so many seconds ago, numbered from first.
func newDesk(first int64, ages ...int64) *desk {
	d := &desk{}
	for i, age := range ages {
		n := first + int64(i)
		d.all = append(d.all, body.Transaction{
			QueueOffset: n, CommitLogOffset: n * 100, Group: "shop", Topic: "orders", QueueID: 3, Key: fmt.Sprintf("KEY%d", n), State: body.Undecided,
			StoredAt: 1_700_000_000_000 - age*1000, Age: age * 1000, Checks: int32(i), DueAt: 1_700_000_000_000 + 12_500,
		})
	}
	return d
}

func (d *desk) called(format string, args ...any) {
	d.calls = append(d.calls, fmt.Sprintf(format, args...))
}

func (d *desk) find(offset int64) (*body.Transaction, error) {
	for i := range d.all {
		if d.all[i].QueueOffset == offset {
			return &d.all[i], nil
		}
	}
	return nil, fmt.Errorf("%w at queue offset %d", body.ErrNoHalf, offset)
}

func (d *desk) List(f body.TransactionFilter) (list []body.Transaction, next int64, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, t := range d.all {
		age := time.Duration(t.Age) * time.Millisecond
		if t.QueueOffset < f.From || f.State != "" && t.State != f.State || f.Topic != "" && t.Topic != f.Topic || f.Group != "" && t.Group != f.Group ||
			age < f.MinAge || f.MaxAge > 0 && age > f.MaxAge {
			continue
		}
		if len(list) == f.Limit {
			return list, t.QueueOffset, nil
		}
		list = append(list, t)
	}
	return list, -1, nil
}

func (d *desk) Show(offset int64) (*body.TransactionStory, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	t, err := d.find(offset)
	if err != nil {
		return nil, err
	}
	return &body.TransactionStory{Transaction: *t, Events: []body.TransactionEvent{
		{At: t.StoredAt, Kind: body.EventStored}, {At: t.StoredAt + 6000, Kind: body.EventCheck, Count: 1, Who: "10.0.0.9:5000"},
		{At: t.StoredAt + 6100, Kind: body.EventRefused, Outcome: "commit", Who: "10.0.0.8:5000", Note: "group \x1b[2J"}, {Kind: "new kind"},
	}}, nil
}

func (d *desk) Find(id string) (found []int64, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, t := range d.all {
		if t.Key == id {
			found = append(found, t.QueueOffset)
		}
	}
	return found, nil
}

func (d *desk) Decide(offset int64, commit bool, who string, done func(error)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.called("decide %d %t", offset, commit)
	t, err := d.find(offset)
	state := map[bool]body.TransactionState{true: body.Committed, false: body.RolledBack}[commit]
	switch {
	case err != nil:
	case t.State == body.Undecided:
		t.State = state
	case t.State != state:
		err = fmt.Errorf("%w: it is %s since noon", body.ErrDecided, t.State)
	}
	done(err)
}

func (d *desk) Recheck(offset int64, who string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.called("recheck %d", offset)
	return nil
}

func (d *desk) Resume(physical int64, who string, done func(int64, error)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.called("resume %d", physical)
	done(77, nil)
}

func (d *desk) done() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.calls)
}

// listen serves requests on a port of 127.0.0.1 and gives its address.
func listen(t *testing.T, routes map[int32]remoting.Handler) string {
	t.Helper()
	s := remoting.NewServer(remoting.ServerConfig{
		Addr:   "127.0.0.1:0",
		Routes: func(code int32) (remoting.Route, bool) { h, ok := routes[code]; return remoting.Route{Handler: h}, ok },
	})
	if err := s.Listen(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- s.Run(context.Background()) }()
	t.Cleanup(func() {
		if err := errors.Join(s.Close(), <-ended); err != nil {
			t.Error(err)
		}
	})
	return s.Addr().String()
}

// offices serves desks as brokers of one cluster, and gives the environment of
// their clients.
func offices(t *testing.T, desks map[string]*desk) (environment []string, addrs map[string]string) {
	t.Helper()
	info := body.ClusterInfo{BrokerAddrTable: map[string]body.BrokerData{}, ClusterAddrTable: map[string][]string{}}
	addrs = map[string]string{}
	for name, d := range desks {
		i := &handler.Inspect{Transactions: d, Broker: name}
		addrs[name] = listen(t, map[int32]remoting.Handler{
			wire.ReqTxList: i.List, wire.ReqTxShow: i.Show, wire.ReqTxDecide: i.Decide, wire.ReqTxRecheck: i.Recheck, wire.ReqTxResume: i.Resume,
		})
		info.BrokerAddrTable[name] = body.BrokerData{Cluster: "C", BrokerName: name, BrokerAddrs: map[int64]string{0: addrs[name]}}
		info.ClusterAddrTable["C"] = append(info.ClusterAddrTable["C"], name)
	}
	names := listen(t, map[int32]remoting.Handler{wire.ReqGetBrokerClusterInfo: func(r *remoting.Request) {
		r.Reply(&wire.Response{Body: body.Marshal(&info)})
	}})
	return []string{"TWOSTAGE_NAMESRV=" + names}, addrs
}

func TestTxList(t *testing.T) {
	a := newDesk(10, 7200, 192, 61)
	a.all[2].State = body.Discarded
	a.all[2].DueAt = 0
	env, addrs := offices(t, map[string]*desk{"a": a, "b": newDesk(1, 300, 5)})
	for _, c := range []struct {
		args []string
		want string
		note string
	}{
		{nil, `
OFFSET  STATE      AGE    CHECKS  NEXT  TOPIC   GROUP  KEY    BROKER
10      undecided  2h00m  0       12s   orders  shop   KEY10  a
1       undecided  5m00s  0       12s   orders  shop   KEY1   b
11      undecided  3m12s  1       12s   orders  shop   KEY11  a
2       undecided  5.0s   1       12s   orders  shop   KEY2   b
`, ""},
		{[]string{"--state", "discarded"}, `
OFFSET  STATE      AGE    CHECKS  NEXT  TOPIC   GROUP  KEY
12      discarded  1m01s  2       -     orders  shop   KEY12
`, ""},
		{[]string{"--state", "all", "--older-than", "1m", "--newer-than", "4m", "--topic", "orders", "--group", "shop"}, `
OFFSET  STATE      AGE    CHECKS  NEXT  TOPIC   GROUP  KEY
11      undecided  3m12s  1       12s   orders  shop   KEY11
12      discarded  1m01s  2       -     orders  shop   KEY12
`, ""},
		{[]string{"--limit", "1"}, `
OFFSET  STATE      AGE    CHECKS  NEXT  TOPIC   GROUP  KEY
10      undecided  2h00m  0       12s   orders  shop   KEY10
`, "there are more than these 1"},
		{[]string{"--broker", addrs["b"], "--namesrv", "127.0.0.1:1", "--limit", "0"}, `
OFFSET  STATE      AGE    CHECKS  NEXT  TOPIC   GROUP  KEY
1       undecided  5m00s  0       12s   orders  shop   KEY1
2       undecided  5.0s   1       12s   orders  shop   KEY2
`, ""},
		{[]string{"--topic", "other"}, "\n", "no such transactions"},
	} {
		r := try(t, env, "", append([]string{"tx", "list"}, c.args...)...)
		if r.code != 0 || r.out != c.want[1:] || !strings.HasPrefix(r.err, c.note) || (c.note == "") != (r.err == "") {
			t.Errorf("%q: %d\n%s%s", c.args, r.code, r.out, r.err)
		}
	}
	var got struct {
		Transactions []map[string]any
		More         bool
	}
	if err := json.Unmarshal([]byte(must(t, env, "tx", "list", "-o", "json", "--limit", "3")), &got); err != nil || len(got.Transactions) != 3 || !got.More ||
		got.Transactions[1]["broker"] != "b" || got.Transactions[1]["queueOffset"] != 1.0 || got.Transactions[1]["state"] != "undecided" {
		t.Errorf("%+v, %v", got, err)
	}
	if out := must(t, env, "tx", "list", "-o", "json", "--topic", "other"); out != "{\n  \"transactions\": [],\n  \"more\": false\n}\n" {
		t.Errorf("%q", out)
	}
}

func TestTxShow(t *testing.T) {
	d := newDesk(10, 192, 60)
	d.all[0].Chain, d.all[0].Detail, d.all[0].CheckedAt, d.all[0].DecidedAt = []int64{10, 12}, "waits for a producer", 1_700_000_000_000, 1_700_000_000_001
	d.all[0].CommittedOffset, d.all[0].ParkedOffset, d.all[0].ResumedAs = 4711, 815, 99
	env, addrs := offices(t, map[string]*desk{"a": d})
	const moment = `\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\S+`
	want := regexp.MustCompile(`^transaction +10 on a at ` + regexp.QuoteMeta(addrs["a"]) + `
state +undecided: waits for a producer
topic +orders, queue 3
group +shop
key +KEY10
stored +` + moment + `, 3m12s ago, at 1000 in the commit log
half messages +10, 12
checks +0, the last one ` + moment + `, next: 12s
decided +` + moment + `
committed +at 4711 in the commit log
parked +at 815 in the commit log
resumed as +transaction 99

TIME +AFTER +EVENT +WHO +NOTE
` + moment + ` +0\.0s +half message stored +- +-
` + moment + ` +6\.0s +check 1 sent +10\.0\.0\.9:5000 +-
` + moment + ` +6\.1s +refused: commit +10\.0\.0\.8:5000 +"group \\x1b\[2J"
- +- +new kind +- +-
$`)
	for _, id := range []string{"10", "KEY10"} {
		if out := must(t, env, "tx", "show", id); !want.MatchString(out) {
			t.Errorf("%s:\n%s", id, out)
		}
	}
	var s admin.Story
	if err := json.Unmarshal([]byte(must(t, env, "tx", "show", "11", "-o", "json")), &s); err != nil || s.Broker != "a" || s.Transaction.Key != "KEY11" || len(s.Events) != 4 {
		t.Errorf("%+v, %v", s, err)
	}
	if r := try(t, env, "", "tx", "show", "17"); r.code != exitFailed || !strings.Contains(r.err, "no such transaction: no broker knows 17") || !strings.Contains(r.err, "tx list --state all") {
		t.Errorf("%+v", r)
	}
}

func TestTxActs(t *testing.T) {
	a, b := newDesk(10, 192, 60, 7, 7), newDesk(13, 5)
	a.all[2].State, a.all[2].ParkedOffset = body.Discarded, 815
	env, addrs := offices(t, map[string]*desk{"a": a, "b": b})
	for _, c := range []struct {
		args []string
		code int
		want string
		act  string
	}{
		{[]string{"commit", "10", "--yes"}, 0, "committed transaction=10 broker=a\n", "decide 10 true"},
		{[]string{"commit", "KEY10", "--yes"}, 0, "committed transaction=10 broker=a\n", "decide 10 true"},
		{[]string{"rollback", "10", "--yes"}, exitFailed, "the transaction is decided: it is committed since noon", "decide 10 false"},
		{[]string{"rollback", "KEY11", "--yes"}, 0, "rolled-back transaction=11 broker=a\n", "decide 11 false"},
		{[]string{"recheck", "KEY11"}, 0, "rechecked transaction=11 broker=a\n", "recheck 11"},
		{[]string{"resume", "12"}, 0, "resumed transaction=77 broker=a\n", "resume 815"},
		{[]string{"commit", "10"}, exitUsage, "an outcome is final, and there is no terminal to ask on: say that you mean it with --yes", ""},
		{[]string{"rollback", "10"}, exitUsage, "no terminal", ""},
		{[]string{"commit", "13", "--yes"}, exitFailed, "say which with --broker HOST:PORT", ""},
		{[]string{"commit", "13", "--yes", "--broker", addrs["a"]}, 0, "committed transaction=13 broker=a\n", "decide 13 true"},
		{[]string{"commit", "17", "--yes"}, exitFailed, "no broker knows 17", ""},
		{[]string{"recheck", "17"}, exitFailed, "no broker knows 17", ""},
		{[]string{"resume", "17"}, exitFailed, "no broker knows 17", ""},
	} {
		before := len(a.done())
		r := try(t, env, "yes\n", append([]string{"tx"}, c.args...)...)
		if r.code != c.code || c.code == 0 && r.out != c.want || c.code != 0 && !strings.Contains(r.err, c.want) {
			t.Errorf("%q: %+v", c.args, r)
		}
		if acts := strings.Join(a.done()[before:], ","); acts != c.act {
			t.Errorf("%q did %q, want %q", c.args, acts, c.act)
		}
	}
	if acts := b.done(); len(acts) > 0 {
		t.Errorf("the other broker was told %q", acts)
	}
	if a.all[0].State != body.Committed || a.all[1].State != body.RolledBack || a.all[3].State != body.Committed {
		t.Errorf("%+v", a.all)
	}
}

func TestTxErrors(t *testing.T) {
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"list", "--state", "open"}, exitUsage, "accepted are undecided"},
		{[]string{"list", "--limit", "-1"}, exitUsage, "--limit"},
		{[]string{"list", "--older-than", "2h", "--newer-than", "1h"}, exitUsage, "ages from 2h0m0s to 1h0m0s"},
		{[]string{"list", "--older-than", "old"}, exitUsage, "--older-than"},
		{[]string{"list", "-o", "xml"}, exitUsage, "accepted are table, wide, json, yaml"},
		{[]string{"list", "--broker", "nowhere"}, exitUsage, "--broker"},
		{[]string{"list", "--namesrv", "127.0.0.1:1"}, exitFailed, "start one with `twostage server`"},
		{[]string{"list", "--broker", "127.0.0.1:1"}, exitFailed, "connection refused"},
		{[]string{"list", "x"}, exitUsage, "1 arguments"},
		{[]string{"show"}, exitUsage, "0 arguments"},
		{[]string{"show", "1", "-o", "xml"}, exitUsage, "accepted are table, wide, json, yaml"},
		{[]string{"commit", "--yes"}, exitUsage, "0 arguments"},
		{[]string{"rolback", "1"}, exitUsage, "did you mean rollback"},
	} {
		if r := try(t, nil, "", append([]string{"tx"}, c.args...)...); r.code != c.code || !strings.Contains(r.err, c.want) || r.out != "" {
			t.Errorf("%q: %+v, want %d and %q", c.args, r, c.code, c.want)
		}
	}
}
