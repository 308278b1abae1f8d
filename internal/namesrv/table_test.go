// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package namesrv

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/twostage/twostage/internal/wire/body"
)

// line is a connection without a network.
type line struct{ gone chan struct{} }

func newLine() *line { return &line{make(chan struct{})} }

func (l *line) Closed() <-chan struct{} { return l.gone }

func (l *line) RemoteAddr() netip.AddrPort { return netip.MustParseAddrPort("10.9.9.9:4711") }

var epoch = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func (n *node) registration() *registration {
	w := n.TopicConfigSerializeWrapper
	return &registration{
		identity: identity{cluster: n.ClusterName, name: n.BrokerName, addr: n.BrokerAddr, id: n.BrokerID},
		haAddr:   n.HAServerAddr, version: w.DataVersion, topics: w.TopicConfigTable,
		timeout: time.Duration(n.HeartbeatTimeoutMillis) * time.Millisecond,
	}
}

func must(t *testing.T, tb *table[*line], n *node, p *line, now time.Time) result {
	t.Helper()
	res, err := tb.register(n.registration(), p, now)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

// view writes a snapshot down.
func (s *snapshot) view() string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(s.brokers)) {
		fmt.Fprintf(&b, "%s:%v ", name, s.brokers[name])
	}
	for _, topic := range s.topicNames(anyQueue).TopicList {
		fmt.Fprintf(&b, "%s:%v ", topic, s.topics.get(topic))
	}
	return b.String()
}

func topics(s *snapshot) string { return strings.Join(s.topicNames(anyQueue).TopicList, " ") }

func TestConflicts(t *testing.T) {
	edit := func(f func(n *node)) *node {
		n := newNode("a", 0, 1, "T", "U")
		f(n)
		return n
	}
	tests := []struct {
		name    string
		second  *node
		refused string // part of the error; "": accepted
		want    string // addresses of the broker name of the second
	}{
		{"another address", edit(func(n *node) { n.BrokerAddr = "10.0.0.2:1" }), "another address", ""},
		{"same address", edit(func(*node) {}), "", "map[0:10.0.0.1:1]"},
		{"another id", edit(func(n *node) { n.BrokerID, n.BrokerAddr = 1, "10.0.0.2:1" }), "", "map[0:10.0.0.1:1 1:10.0.0.2:1]"},
		{"another id at the address", edit(func(n *node) { n.BrokerID = 1 }), "", "map[1:10.0.0.1:1]"},
		{"another name at the address", edit(func(n *node) { n.BrokerName = "b" }), "belongs to another broker", ""},
		{"another cluster", edit(func(n *node) { n.ClusterName, n.BrokerID, n.BrokerAddr = "D", 1, "10.0.0.2:1" }), "another cluster", ""},
		{"another cluster at the address", edit(func(n *node) { n.ClusterName = "D" }), "", "map[0:10.0.0.1:1]"},
		{"a higher state version", edit(func(n *node) { // there is no controller that could have elected it
			n.BrokerAddr = "10.0.0.2:1"
			n.TopicConfigSerializeWrapper.DataVersion.StateVersion = 1
		}), "another address", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			first, silent := newLine(), newTable[*line]()
			tb := newTable[*line]()
			must(t, tb, newNode("a", 0, 1, "T", "U"), first, epoch)
			must(t, silent, newNode("a", 0, 1, "T", "U"), first, epoch)
			before := tb.now.view()
			_, err := tb.register(tt.second.registration(), newLine(), epoch.Add(time.Second))
			if tt.refused == "" {
				if have := fmt.Sprint(tb.now.brokers[tt.second.BrokerName].BrokerAddrs); err != nil || have != tt.want {
					t.Errorf("%v, addresses %s, want %s", err, have, tt.want)
				}
				return
			}
			var conflict *conflictError
			if !errors.As(err, &conflict) || !strings.Contains(err.Error(), tt.refused) || !strings.Contains(err.Error(), "10.9.9.9:4711") {
				t.Errorf("error %v, want one about %q with the connection", err, tt.refused)
			}
			if after := tb.now.view(); after != before {
				t.Errorf("a refused registration changed %s to %s", before, after)
			}
			// The same is welcome when the first is silent, or its connection is gone.
			if _, err := silent.register(tt.second.registration(), newLine(), epoch.Add(silence)); err != nil {
				t.Errorf("after %v of silence: %v", silence, err)
			}
			close(first.gone)
			if _, err := tb.register(tt.second.registration(), newLine(), epoch.Add(time.Second)); err != nil {
				t.Errorf("after its connection ended: %v", err)
			}
		})
	}
}

func TestRestartOutlivesOldConnection(t *testing.T) {
	tb, old, fresh := newTable[*line](), newLine(), newLine()
	n := newNode("a", 0, 1, "T", "U")
	must(t, tb, n, old, epoch)
	if res := must(t, tb, n, fresh, epoch.Add(time.Second)); res.first {
		t.Error("a restart within the registration counts as the first")
	}
	if gone := tb.dropPeer(old); len(gone) != 0 || topics(tb.now) != "T U" {
		t.Errorf("the old connection's end took %v, left %q", gone, topics(tb.now))
	}
	if gone := tb.dropPeer(fresh); len(gone) != 1 || topics(tb.now) != "" || len(tb.now.brokers) != 0 || len(tb.byAddr) != 0 {
		t.Errorf("the connection's end took %v, left %q", gone, tb.now.view())
	}
}

func TestTopicsOfRegistration(t *testing.T) {
	tb, p := newTable[*line](), newLine()
	n := newNode("a", 0, 1, "T", "U")
	must(t, tb, n, p, epoch)

	tb.deleteTopic("T", "")
	must(t, tb, n, p, epoch)
	if topics(tb.now) != "U" {
		t.Errorf("the same data version brought back a deleted topic: %s", topics(tb.now))
	}
	n.set("V") // what changed, alone
	must(t, tb, n, p, epoch)
	if topics(tb.now) != "U V" {
		t.Errorf("after a registration of V: %s", topics(tb.now))
	}
	n.set("T", "U", "V")
	must(t, tb, n, p, epoch)
	if topics(tb.now) != "T U V" {
		t.Errorf("after a registration of all: %s", topics(tb.now))
	}

	// A broker that begins with what changed, alone, tells the rest with the same
	// data version.
	m := newNode("b", 0, 2, "X")
	must(t, tb, m, p, epoch)
	v := m.TopicConfigSerializeWrapper.DataVersion
	if _, same, known := tb.version(m.registration().identity, v, p, epoch); same || !known {
		t.Error("a broker that may have told a part is not asked for the rest")
	}
	m.set("X", "Y")
	m.TopicConfigSerializeWrapper.DataVersion = v
	must(t, tb, m, p, epoch)
	if topics(tb.now) != "T U V X Y" {
		t.Errorf("after a part and all: %s", topics(tb.now))
	}
	if have, same, known := tb.version(m.registration().identity, v, p, epoch); !same || !known || have != v {
		t.Errorf("version %v, same %v, known %v", have, same, known)
	}
	if _, same, _ := tb.version(m.registration().identity, v, newLine(), epoch); same {
		t.Error("over a new connection a broker need not register")
	}
	other := m.registration().identity
	other.id = 3
	if _, same, known := tb.version(other, v, p, epoch); same || known {
		t.Error("another broker's version is given away as its own")
	}
}

func TestMasterAndSlave(t *testing.T) {
	tb, pm, ps := newTable[*line](), newLine(), newLine()
	master, slave := newNode("a", 0, 1, "T", "U"), newNode("a", 1, 3, "S1", "S2")
	if res := must(t, tb, slave, ps, epoch); res.masterAddr != "" || topics(tb.now) != "" {
		t.Errorf("a slave alone: %+v, topics %q", res, topics(tb.now))
	}
	if res := must(t, tb, master, pm, epoch); res.masterAddr != "" || res.haAddr != "" {
		t.Errorf("a master is told %+v", res)
	}
	if res := must(t, tb, slave, ps, epoch); res.masterAddr != master.BrokerAddr || res.haAddr != master.HAServerAddr {
		t.Errorf("a slave is told %+v", res)
	}
	tb.dropPeer(pm)
	route, ok := tb.now.route("T")
	if !ok || fmt.Sprint(route.BrokerDatas[0].BrokerAddrs) != "map[1:10.0.0.1:3]" {
		t.Errorf("with the slave alone: %v %+v", ok, route)
	}
	slave.BrokerID = 0 // it is the master now, at the same address
	slave.set("S1", "S2")
	must(t, tb, slave, ps, epoch)
	if b := tb.now.brokers["a"]; fmt.Sprint(b.BrokerAddrs) != "map[0:10.0.0.1:3]" || topics(tb.now) != "S1 S2" {
		t.Errorf("after the change: %s", tb.now.view())
	}
}

func TestSilence(t *testing.T) {
	tb, p := newTable[*line](), newLine()
	must(t, tb, newNode("a", 0, 1, "T", "U"), p, epoch)
	quick := newNode("b", 0, 2, "T", "U")
	quick.HeartbeatTimeoutMillis = 10_000
	must(t, tb, quick, p, epoch)
	at := func(d time.Duration) (names []string) {
		for _, l := range tb.expire(epoch.Add(d)) {
			names = append(names, l.name)
		}
		return names
	}
	if gone := at(10*time.Second - 1); gone != nil {
		t.Errorf("too early: %v", gone)
	}
	if gone := at(10 * time.Second); !slices.Equal(gone, []string{"b"}) {
		t.Errorf("after 10 s: %v", gone)
	}
	if !tb.touch("DefaultCluster", "10.0.0.1:1", epoch.Add(100*time.Second)) || tb.touch("Other", "10.0.0.1:1", epoch) || tb.touch("DefaultCluster", "10.0.0.1:2", epoch) {
		t.Error("touch knows who is there wrongly")
	}
	if gone := at(220*time.Second - 1); gone != nil {
		t.Errorf("too early: %v", gone)
	}
	if gone := at(220 * time.Second); !slices.Equal(gone, []string{"a"}) || tb.now.view() != "" {
		t.Errorf("after 220 s: %v, left %s", gone, tb.now.view())
	}
}

func TestUnregister(t *testing.T) {
	tb := newTable[*line]()
	n := newNode("a", 0, 1, "T", "U")
	must(t, tb, n, newLine(), epoch)
	for _, f := range []func(i *identity){
		func(i *identity) { i.addr = "10.0.0.2:1" }, func(i *identity) { i.id = 1 },
		func(i *identity) { i.name = "b" }, func(i *identity) { i.cluster = "D" },
	} {
		i := n.registration().identity
		if f(&i); tb.unregister(i) || topics(tb.now) != "T U" {
			t.Errorf("%v took out another broker", i)
		}
	}
	if !tb.unregister(n.registration().identity) || tb.now.view() != "" {
		t.Errorf("left: %s", tb.now.view())
	}
}

func TestTopicsAndPermissions(t *testing.T) {
	tb := newTable[*line]()
	a, b, c := newNode("a", 0, 1, "T", "U"), newNode("b", 0, 2, "T", "V"), newNode("c", 0, 3, "T", "W")
	c.ClusterName = "Other"
	for _, n := range []*node{a, b, c} {
		must(t, tb, n, newLine(), epoch)
	}
	perms := func(topic string) string {
		var s []string
		for _, q := range tb.now.topics.get(topic) {
			s = append(s, fmt.Sprint(q.BrokerName, q.Perm))
		}
		return strings.Join(s, " ")
	}
	if n := tb.setWrite("a", false); n != 2 || perms("T") != "a4 b6 c6" || perms("U") != "a4" {
		t.Errorf("wiped %d: T %s, U %s", n, perms("T"), perms("U"))
	}
	if n := tb.setWrite("a", true); n != 2 || perms("T") != "a6 b6 c6" {
		t.Errorf("added %d: T %s", n, perms("T"))
	}
	if n := tb.setWrite("none", true); n != 0 {
		t.Errorf("%d topics of an unknown broker", n)
	}
	if err := tb.registerTopic("N", []body.QueueData{{BrokerName: "b", Perm: 6}, {BrokerName: "zz"}}); err == nil || !strings.Contains(err.Error(), `"zz"`) || perms("N") != "" {
		t.Errorf("%v, N %s", err, perms("N"))
	}
	if err := tb.registerTopic("N", []body.QueueData{{BrokerName: "b", Perm: 6}, {BrokerName: "a", Perm: 4}}); err != nil || perms("N") != "a4 b6" {
		t.Errorf("%v, N %s", err, perms("N"))
	}
	if have := strings.Join(tb.now.clusterTopics("Other").TopicList, " "); have != "T W" {
		t.Errorf("topics of Other: %s", have)
	}
	if have := strings.Join(tb.now.systemTopics().TopicList, " "); have != "DefaultCluster Other a b c" || tb.now.systemTopics().BrokerAddr != "10.0.0.1:1" {
		t.Errorf("system topics: %s", have)
	}
	tb.deleteTopic("T", "DefaultCluster")
	if perms("T") != "c6" {
		t.Errorf("after deletion in a cluster: %s", perms("T"))
	}
	tb.deleteTopic("T", "")
	if perms("T") != "" {
		t.Errorf("after deletion: %s", perms("T"))
	}
}

func TestRefusedIdentities(t *testing.T) {
	for _, i := range []identity{
		{"", "a", "h:1", 0}, {"c", "", "h:1", 0}, {"c", "a", "", 0}, {"c", "a", "h", 0}, {"c", "a", ":1", 0},
		{"c", "a", "h:0", 0}, {"c", "a", "h:65536", 0}, {"c", "a", "h:-1", 0}, {"c", "a", "h:1", -1},
	} {
		tb := newTable[*line]()
		if _, err := tb.register(&registration{identity: i}, newLine(), epoch); err == nil || tb.now.view() != "" {
			t.Errorf("%v is accepted", i)
		}
	}
	tb, p := newTable[*line](), newLine()
	for i := range maxPerConn {
		must(t, tb, newNode(fmt.Sprint("b", i), 0, 1+i, "T"), p, epoch)
	}
	if _, err := tb.register(newNode("more", 0, 9999, "T").registration(), p, epoch); err == nil {
		t.Error("one connection may register any number of brokers")
	}
}

// TestSnapshots does anything in any order and checks after each step that the
// snapshot agrees with who is registered, and that no earlier snapshot changed.
func TestSnapshots(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tb := newTable[*line]()
		lines := []*line{newLine(), newLine(), newLine()}
		now := epoch
		var past []*snapshot
		var views []string
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			n := newNode(rapid.SampledFrom([]string{"a", "b"}).Draw(t, "name"), rapid.Int64Range(0, 2).Draw(t, "id"),
				rapid.IntRange(1, 4).Draw(t, "port"), rapid.SliceOfN(rapid.SampledFrom([]string{"T", "U", "V", "W"}), 0, 4).Draw(t, "topics")...)
			n.ClusterName = rapid.SampledFrom([]string{"C", "D"}).Draw(t, "cluster")
			n.TopicConfigSerializeWrapper.DataVersion.Counter = rapid.Int64Range(0, 2).Draw(t, "version")
			switch rapid.IntRange(0, 9).Draw(t, "what") {
			default:
				tb.register(n.registration(), rapid.SampledFrom(lines).Draw(t, "line"), now) // a conflict changes nothing, see below
			case 5:
				tb.unregister(n.registration().identity)
			case 6:
				tb.dropPeer(rapid.SampledFrom(lines).Draw(t, "line"))
			case 7:
				now = now.Add(rapid.SampledFrom([]time.Duration{time.Second, silence / 2, silence}).Draw(t, "time"))
				tb.expire(now)
			case 8:
				tb.deleteTopic("T", rapid.SampledFrom([]string{"", "C"}).Draw(t, "of"))
			case 9:
				tb.setWrite(n.BrokerName, rapid.Bool().Draw(t, "write"))
			}
			agree(t, tb)
			for i, s := range past {
				if s.view() != views[i] {
					t.Fatalf("a snapshot changed from %s to %s", views[i], s.view())
				}
			}
			past, views = append(past, tb.now), append(views, tb.now.view())
		}
	})
}

func agree(t *rapid.T, tb *table[*line]) {
	want := map[string]string{}
	for addr, l := range tb.byAddr {
		key := fmt.Sprint(l.cluster, "/", l.name, "/", l.id)
		if other, ok := want[key]; ok || l.addr != addr {
			t.Fatalf("%s is registered at %s and %s", key, other, addr)
		}
		want[key] = addr
	}
	for name, b := range tb.now.brokers {
		if len(b.BrokerAddrs) == 0 || b.BrokerName != name {
			t.Fatalf("broker %s is listed as %v", name, b)
		}
		for id, addr := range b.BrokerAddrs {
			key := fmt.Sprint(b.Cluster, "/", name, "/", id)
			if want[key] != addr {
				t.Fatalf("%s is listed at %s, registered at %q", key, addr, want[key])
			}
			delete(want, key)
		}
	}
	if len(want) > 0 {
		t.Fatalf("registered and not listed: %v", want)
	}
	tb.now.topics.each(func(topic string, queues []body.QueueData) {
		if len(queues) == 0 || !slices.IsSortedFunc(queues, func(a, b body.QueueData) int { return strings.Compare(a.BrokerName, b.BrokerName) }) {
			t.Fatalf("topic %s: %v", topic, queues)
		}
		for _, q := range queues {
			if _, ok := tb.now.brokers[q.BrokerName]; !ok {
				t.Fatalf("topic %s is at %s, which is not there", topic, q.BrokerName)
			}
		}
	})
}
