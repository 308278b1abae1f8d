// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package session

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/twostage/twostage/internal/remoting"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/body"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var _ Conn = (*remoting.Conn)(nil)

// conn is a connection that pushes nowhere.
type conn struct {
	id     uint64
	closed chan struct{}
}

func newConn(id uint64) *conn { return &conn{id: id, closed: make(chan struct{})} }

func (c *conn) ID() uint64 { return c.id }
func (c *conn) RemoteAddr() netip.AddrPort {
	return netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), uint16(c.id))
}
func (c *conn) Push(*wire.Request) error                { return nil }
func (c *conn) PushIf(*wire.Request, func() bool) error { return nil }
func (c *conn) Closed() <-chan struct{}                 { return c.closed }

func (c *conn) String() string { return fmt.Sprint(c.id) }

// notices records what OnChange is told: "group: ids of the connections".
type notices []string

func (n *notices) config() Config {
	return Config{OnChange: func(group string, conns []Conn) { *n = append(*n, fmt.Sprintf("%s: %v", group, conns)) }}
}

// expect checks what was told since the last time.
func (n *notices) expect(t *testing.T, want ...string) {
	t.Helper()
	slices.Sort(*n)
	if !slices.Equal(*n, want) {
		t.Errorf("told %q, want %q", *n, want)
	}
	*n = nil
}

var passive = ConsumerInfo{ConsumeType: body.ConsumePassively, MessageModel: body.Clustering, ConsumeFromWhere: body.ConsumeFromLastOffset, Notify: true}

func subs(topicVersion ...any) []body.SubscriptionData {
	var list []body.SubscriptionData
	for i := 0; i < len(topicVersion); i += 2 {
		version := int64(topicVersion[i+1].(int))
		list = append(list, body.SubscriptionData{Topic: topicVersion[i].(string), SubString: fmt.Sprint("v", version), SubVersion: version})
	}
	return list
}

func client(id string, c Conn) Client {
	return Client{ID: id, Language: wire.LanguageGo, Version: 409, Conn: c}
}

// expression is what the group subscribes to, "" when it doesn't.
func expression(r *Registry, group, topic string) string {
	if sub, _, _ := r.Subscription(group, topic); sub != nil {
		return sub.SubString
	}
	return ""
}

func TestConsumersComeAndGo(t *testing.T) {
	var told notices
	r := New(told.config())
	a, b := newConn(1), newConn(2)
	if !r.RegisterConsumer(client("A", a), "g", passive, subs("T", 1)) {
		t.Error("the first member is no change")
	}
	told.expect(t, "g: [1]")
	if !r.RegisterConsumer(client("B", b), "g", passive, subs("T", 1)) {
		t.Error("the second member is no change")
	}
	told.expect(t, "g: [1 2]")
	if r.RegisterConsumer(client("A", a), "g", passive, subs("T", 1)) {
		t.Error("another heartbeat is a change")
	}
	told.expect(t)
	if got := r.ConsumerIDs("g"); !slices.Equal(got, []string{"A", "B"}) {
		t.Errorf("ids %v", got)
	}
	g, ok := r.Consumers("g")
	if !ok || g.Info != passive || len(g.Subscriptions) != 1 || g.Subscriptions["T"].SubVersion != 1 || len(g.Clients) != 2 ||
		g.Clients[0].ID != "A" || g.Clients[1].Conn != Conn(b) || g.Clients[1].Language != wire.LanguageGo || g.Clients[1].Version != 409 {
		t.Errorf("%+v, %v", g, ok)
	}
	if c, ok := r.Consumer("g", "B"); !ok || c.Conn != Conn(b) {
		t.Errorf("B is %+v", c)
	}
	r.Unregister(a, "A", "", "other")
	r.Unregister(newConn(1), "A", "", "g") // another connection, though with that number
	told.expect(t)
	r.Unregister(a, "A", "", "g")
	told.expect(t, "g: [2]")
	r.ConnClosed(a)
	told.expect(t)
	r.ConnClosed(b)
	told.expect(t, "g: []")
	if _, ok := r.Consumers("g"); ok || r.ConsumerIDs("g") != nil || expression(r, "g", "T") != "" {
		t.Error("the group is still there")
	}
	if p, c, conns := r.Len(); p+c+conns != 0 {
		t.Errorf("left: %d producer groups, %d consumer groups, %d connections", p, c, conns)
	}
}

func TestSubscriptionsMerge(t *testing.T) {
	var told notices
	r := New(told.config())
	a, b := client("A", newConn(1)), client("B", newConn(2))
	steps := []struct {
		what    string
		who     Client
		subs    []body.SubscriptionData
		changed bool
		t, u    string
	}{
		{"new", a, subs("T", 5, "U", 5), true, "v5", "v5"},
		{"newer is taken, without a notice", a, subs("T", 6, "U", 5), false, "v6", "v5"},
		{"new member with an older one", b, subs("T", 3, "U", 7), true, "v6", "v7"},
		{"the same version", b, subs("T", 6, "U", 7), false, "v6", "v7"},
		{"a topic less", b, subs("T", 6), true, "v6", ""},
		{"which another member still has", a, subs("T", 6, "U", 5), true, "v6", "v5"},
		{"twice in a heartbeat", a, subs("T", 9, "T", 8, "U", 5), false, "v9", "v5"},
		{"none", a, nil, true, "", ""},
	}
	for _, s := range steps {
		told = nil
		if got := r.RegisterConsumer(s.who, "g", passive, s.subs); got != s.changed || len(told) > 0 != s.changed {
			t.Errorf("%s: changed %v, told %v", s.what, got, told)
		}
		if gotT, gotU := expression(r, "g", "T"), expression(r, "g", "U"); gotT != s.t || gotU != s.u {
			t.Errorf("%s: T %q, U %q", s.what, gotT, gotU)
		}
	}
}

func TestSubscriptionTellsOnlineAndModel(t *testing.T) {
	r := New(Config{})
	a := newConn(1)
	info := passive
	info.MessageModel = body.Broadcasting
	r.RegisterConsumer(client("A", a), "g", info, subs("T", 1))
	for _, c := range []struct {
		group, topic           string
		sub, online, broadcast bool
	}{{"g", "T", true, true, true}, {"g", "U", false, true, true}, {"x", "T", false, false, false}} {
		sub, online, broadcast := r.Subscription(c.group, c.topic)
		if (sub != nil) != c.sub || online != c.online || broadcast != c.broadcast {
			t.Errorf("%s %s: %v, %v, %v", c.group, c.topic, sub, online, broadcast)
		}
	}
	r.RegisterConsumer(client("A", a), "g", passive, subs("T", 1))
	if _, _, broadcast := r.Subscription("g", "T"); broadcast {
		t.Error("still broadcasting after a heartbeat that says clustering")
	}
	if n := testing.AllocsPerRun(100, func() { r.Subscription("g", "T") }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// What a reader got does not change under it.
func TestSnapshotsStayAsTheyWere(t *testing.T) {
	r := New(Config{})
	a := client("A", newConn(1))
	list := subs("T", 1)
	r.RegisterConsumer(a, "g", passive, list)
	list[0].SubString = "changed by the caller"
	sub, _, _ := r.Subscription("g", "T")
	g, _ := r.Consumers("g")
	r.RegisterConsumer(a, "g", passive, subs("T", 2, "U", 1))
	if sub.SubString != "v1" || len(g.Subscriptions) != 1 || g.Subscriptions["T"].SubString != "v1" {
		t.Errorf("sub %+v, group %+v", sub, g)
	}
	delete(g.Subscriptions, "T")
	if expression(r, "g", "T") != "v2" {
		t.Error("a reader's map is the registry's")
	}
}

func TestWhoWantsNoNotices(t *testing.T) {
	var told notices
	r := New(told.config())
	quiet := passive
	quiet.Notify = false
	a, b := newConn(1), newConn(2)
	if !r.RegisterConsumer(client("A", a), "g", quiet, subs("T", 1)) {
		t.Error("no change")
	}
	r.RegisterConsumer(client("B", b), "g", quiet, subs("T", 1))
	r.Unregister(b, "B", "", "g")
	told.expect(t)
	r.RegisterConsumer(client("B", b), "g", quiet, subs("T", 1))
	r.ConnClosed(b) // lost without a word: RocketMQ tells that in any case
	told.expect(t, "g: [1]")
}

func TestOneIDWithTwoConnections(t *testing.T) {
	r := New(Config{})
	old, fresh := newConn(1), newConn(2)
	r.RegisterConsumer(client("A", old), "g", passive, nil)
	r.RegisterConsumer(client("A", fresh), "g", passive, nil)
	if got := r.ConsumerIDs("g"); !slices.Equal(got, []string{"A"}) {
		t.Errorf("ids %v", got)
	}
	if c, _ := r.Consumer("g", "A"); c.Conn != Conn(fresh) {
		t.Error("not the connection that came last")
	}
	r.ConnClosed(old)
	if got := r.ConsumerIDs("g"); !slices.Equal(got, []string{"A"}) {
		t.Errorf("after the old connection went: ids %v", got)
	}
}

func TestAConnectionWithAnotherID(t *testing.T) {
	var told notices
	r := New(told.config())
	a := newConn(1)
	r.RegisterConsumer(client("A", a), "g", passive, nil)
	told = nil
	if !r.RegisterConsumer(client("B", a), "g", passive, nil) {
		t.Error("no change")
	}
	told.expect(t, "g: [1]")
	if got := r.ConsumerIDs("g"); !slices.Equal(got, []string{"B"}) {
		t.Errorf("ids %v", got)
	}
}

func TestGroupsByTopic(t *testing.T) {
	r := New(Config{})
	a := newConn(1)
	r.RegisterConsumer(client("A", a), "h", passive, subs("T", 1))
	r.RegisterConsumer(client("A", a), "g", passive, subs("T", 1, "U", 1))
	r.RegisterProducer(client("A", a), "p")
	if got := r.Subscribers("T"); !slices.Equal(got, []string{"g", "h"}) {
		t.Errorf("subscribers of T: %v", got)
	}
	if got := r.Subscribers("U"); !slices.Equal(got, []string{"g"}) {
		t.Errorf("subscribers of U: %v", got)
	}
	if got := r.ConsumerGroups(); !slices.Equal(got, []string{"g", "h"}) {
		t.Errorf("consumer groups %v", got)
	}
	if got := r.ProducerGroups(); !slices.Equal(got, []string{"p"}) {
		t.Errorf("producer groups %v", got)
	}
	if p, c, conns := r.Len(); p != 1 || c != 2 || conns != 1 {
		t.Errorf("Len %d, %d, %d", p, c, conns)
	}
}

// A heartbeat that is handled after its connection was lost leaves nothing.
func TestLateHeartbeatOfALostConnection(t *testing.T) {
	r := New(Config{})
	a := newConn(1)
	close(a.closed)
	r.ConnClosed(a)
	if r.RegisterConsumer(client("A", a), "g", passive, subs("T", 1)) {
		t.Error("a change")
	}
	r.RegisterProducer(client("A", a), "p")
	if p, c, conns := r.Len(); p+c+conns != 0 {
		t.Errorf("left: %d producer groups, %d consumer groups, %d connections", p, c, conns)
	}
}

func TestMembershipsAreBounded(t *testing.T) {
	r := New(Config{})
	a := newConn(1)
	for i := range MaxMemberships / 2 {
		r.RegisterProducer(client("A", a), fmt.Sprint("p", i))
		r.RegisterConsumer(client("A", a), fmt.Sprint("c", i), passive, nil)
	}
	if r.RegisterConsumer(client("A", a), "more", passive, nil) {
		t.Error("one more")
	}
	r.RegisterProducer(client("A", a), "more")
	if p, c, _ := r.Len(); p != MaxMemberships/2 || c != MaxMemberships/2 {
		t.Errorf("%d producer and %d consumer groups", p, c)
	}
	r.RegisterConsumer(client("B", newConn(2)), "more", passive, nil)
	if got := r.ConsumerIDs("more"); !slices.Equal(got, []string{"B"}) {
		t.Errorf("another connection: %v", got)
	}
	r.ConnClosed(a)
	if p, c, conns := r.Len(); p != 0 || c != 1 || conns != 1 {
		t.Errorf("left %d, %d, %d", p, c, conns)
	}
}

func TestProducers(t *testing.T) {
	r := New(Config{Now: func() time.Time { return time.Unix(100, 0) }})
	a, b, c := newConn(1), newConn(2), newConn(3)
	if _, ok := r.PickProducer("p", nil); ok || r.Producers("p") != nil {
		t.Error("a producer of nothing")
	}
	for i, conn := range []*conn{a, b, c} {
		r.RegisterProducer(client(fmt.Sprint("P", i), conn), "p")
	}
	r.RegisterProducer(client("P0", a), "p")
	list := r.Producers("p")
	if len(list) != 3 || list[0].ID != "P0" || list[2].Conn != Conn(c) || !list[0].LastSeen.Equal(time.Unix(100, 0)) {
		t.Errorf("%+v", list)
	}
	pick := func(n int) (ids []uint64) {
		for range n {
			if c, ok := r.PickProducer("p", nil); ok {
				ids = append(ids, c.ID())
			}
		}
		return ids
	}
	if got := pick(4); !slices.Equal(got, []uint64{1, 2, 3, 1}) {
		t.Errorf("picked %v", got)
	}
	close(b.closed) // the registry does not know yet
	if got := pick(4); !slices.Equal(got, []uint64{3, 1, 3, 1}) {
		t.Errorf("picked %v with 2 closed", got)
	}
	r.ConnClosed(b)
	r.Unregister(c, "P2", "p", "")
	r.Unregister(c, "P2", "p", "")
	if got := pick(3); !slices.Equal(got, []uint64{1, 1, 1}) {
		t.Errorf("picked %v of one", got)
	}
	close(a.closed)
	if got := pick(1); got != nil {
		t.Errorf("picked %v of closed ones", got)
	}
	r.ConnClosed(a)
	if p, cs, conns := r.Len(); p+cs+conns != 0 {
		t.Errorf("left %d, %d, %d", p, cs, conns)
	}
}
