// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package replay

import (
	"encoding/json"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twostage/twostage/internal/proctest"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/wiretest"
)

const recordings = "../../testdata/golden/frames"

// recordedBroker is the address of the broker of the recordings.
const recordedBroker = "127.0.0.1:20911"

// patience is how much later than recorded a frame may come.
const patience = 20 * time.Second

func TestMain(m *testing.M) {
	// The scenarios wait more than they work.
	flag.Parse()
	if err := flag.Set("test.parallel", "16"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// played are the kinds of clients whose scenarios are replayed.
var played = []string{"java-", "rocketmqser-", "go-"}

// isPlayed says whether a scenario is replayed: also some of mqadmin.
func isPlayed(name string) bool {
	_, ok := admins[name]
	return ok || slices.ContainsFunc(played, func(prefix string) bool { return strings.HasPrefix(name, prefix) })
}

func TestReplay(t *testing.T) {
	all, err := wiretest.Load(os.DirFS(recordings))
	if err != nil {
		t.Fatal(err)
	}
	var total, ran atomic.Int64
	t.Run("scenarios", func(t *testing.T) {
		for _, s := range all {
			if !isPlayed(s.Name) {
				continue
			}
			total.Add(1)
			t.Run(s.Name, func(t *testing.T) {
				t.Parallel()
				replay(t, s)
				ran.Add(1)
			})
		}
	})
	switch {
	case total.Load() != int64(62+len(admins)):
		t.Errorf("%d scenarios, want the 62 of clients and %d of mqadmin", total.Load(), len(admins))
	case ran.Load() == total.Load(): // not with -run
		unused(t)
	}
}

// serve starts a broker like the recorded one.
func serve(t *testing.T, s *wiretest.Scenario) *proctest.Server {
	t.Helper()
	port := 0
	for _, c := range s.Connections {
		if strings.Contains(c.To, "VIP") { // there is none without a port
			port = proctest.FreePort(t)
		}
	}
	return proctest.Start(t, "server", "--data", t.TempDir(), "--log-level", "warn",
		"--set", "bindAddress=127.0.0.1", "--namesrv-set", "bindAddress=127.0.0.1", "--set", "brokerIP1=127.0.0.1", "--set", "waitTimeMillsInSendQueue=30000",
		"--set", "listenPort="+strconv.Itoa(port), "--namesrv-set", "listenPort=0", "--set", "httpListenPort=0",
		"--set", "useServerSideResetOffset=false", // which 4.9 does not have
		"--set", "brokerName=broker-a", "--set", "brokerClusterName=DefaultCluster", "--set", "traceTopicEnable=true",
		"--set", "messageDelayLevel=1s 2s 3s 4s 5s 6s 7s 8s 9s 10s 20s 30s 1m 2m 5m 10m 1h 3650d",
		"--set", "mappedFileSizeCommitLog=4194304", "--set", "mappedFileSizeConsumeQueue=20000",
		"--set", "maxHashSlotNum=1000", "--set", "maxIndexNum=4000",
		"--set", "transactionTimeOut=2000", "--set", "transactionCheckInterval=3000", "--set", "transactionCheckMax=15")
}

// player plays one scenario.
type player struct {
	t     *testing.T
	s     *wiretest.Scenario
	srv   *proctest.Server
	peers map[int]*peer
	known known
	subs  subscriptions
	sent  map[int]*wire.Command // request frames, by number
	asked map[asking]int32      // what the server asked: the opaque it used
	found []difference
}

func replay(t *testing.T, s *wiretest.Scenario) {
	srv := serve(t, s)
	w, before := deriveWorld(t, s), admins[s.Name]
	before.add(w)
	p := &player{
		t: t, s: s, srv: srv, peers: map[int]*peer{}, asked: map[asking]int32{},
		known: known{broker: netip.MustParseAddrPort(srv.Broker), physical: w.build(t, dial(t, srv.Broker)), half: map[string]string{"none": "none"}},
		subs:  subscriptions{last: map[string]*wire.Command{}, version: map[string]json.Number{}},
		sent:  map[int]*wire.Command{},
	}
	requests := map[int]*wiretest.Frame{} // of answers, by number
	for _, e := range s.Exchanges() {
		if e.Answer != nil {
			requests[e.Answer.Number] = e.Request
		}
	}
	p.connect(before)
	begin := time.Now()
	order := frames(s)
	for i := range order {
		f := &order[i]
		p.intervene(f)
		if f.From == "client" {
			if wait := time.Until(begin.Add(f.At)); wait > 0 {
				<-time.After(wait)
			}
			p.send(f)
			continue
		}
		p.receive(f, requests[f.Number], time.Until(begin.Add(f.At))+patience)
	}
	p.finish()
	for _, d := range p.found {
		if !excused(d) {
			t.Error(d)
		}
	}
}

// peer gives a connection of the scenario, opened when it is first needed.
func (p *player) peer(conn int) *peer {
	p.t.Helper()
	if c := p.peers[conn]; c != nil {
		return c
	}
	addr := p.srv.Broker
	for _, c := range p.s.Connections {
		switch {
		case c.Number != conn:
		case c.To == "name server":
			addr = p.srv.Namesrv
		case strings.Contains(c.To, "VIP"):
			host, port, _ := strings.Cut(addr, ":")
			addr = host + ":" + strconv.FormatInt(number(port)-2, 10)
		}
	}
	p.peers[conn] = dial(p.t, addr)
	return p.peers[conn]
}

func (p *player) send(f *wiretest.Frame) {
	p.t.Helper()
	c := decode(p.t, f)
	switch {
	case c.IsResponse():
		p.peer(f.Conn).send(p.t, p.answer(f, c))
		return
	case c.Code == wire.ReqHeartBeat:
		p.subs.see(p.t, c)
	case c.Code == wire.ReqPullMessage && !p.notLatest(f):
		if h := p.subs.newer(p.t, c); h != nil {
			p.peer(f.Conn).must(p.t, h)
		}
	}
	p.peer(f.Conn).send(p.t, p.known.frame(p.t, f))
}

// notLatest says whether the recorded answer to a pull is that the broker does not
// know the subscription's version yet.
func (p *player) notLatest(f *wiretest.Frame) bool {
	for _, e := range p.s.Exchanges() {
		if e.Request.Number == f.Number {
			return e.Answer != nil && e.Answer.Kind.Code == wire.SubscriptionNotLatest
		}
	}
	return false
}

// receive awaits a frame of the server and compares it.
func (p *player) receive(f, request *wiretest.Frame, within time.Duration) {
	p.t.Helper()
	want := decode(p.t, f)
	fits, code := pushOf(want.Code), want.Code
	var req *wire.Command
	if want.IsResponse() {
		fits, code = answerTo(want.Opaque), f.Kind.Request
		req = decode(p.t, request)
	}
	have, err := p.peer(f.Conn).take(within, fits)
	if err != nil {
		p.t.Fatalf("frame %d, %s of %s: %v", f.Number, f.Kind.Name, wire.CodeName(code), err)
	}
	if !want.IsResponse() {
		p.asked[asking{f.Conn, want.Opaque}] = have.Opaque
	}
	if req == nil || have.Code == want.Code {
		p.known.learn(p.t, req, want, have)
	}
	c := comparer{recordedBroker: recordedBroker, broker: p.srv.Broker, found: func(at, w, h string) {
		p.found = append(p.found, difference{p.s.Name, f.Number, code, at, w, h})
	}}
	c.command(code, want, have)
}

// finish looks for what the server sent beyond the recording, once it has
// answered a last request on each connection.
func (p *player) finish() {
	p.t.Helper()
	for conn, c := range p.peers {
		last := &wire.Request{Code: wire.ReqGetRouteInfoByTopic, Fields: fields("topic", "TBW102")}
		c.call(p.t, last)
		for _, extra := range c.rest() {
			code, at := extra.Code, "unexpected push"
			if extra.IsResponse() {
				at = "unexpected answer"
				for i := range p.s.Frames {
					f := &p.s.Frames[i]
					if f.Conn == conn && !f.Kind.Response && f.Stated.Opaque == extra.Opaque {
						code = f.Kind.Code
					}
				}
			}
			p.found = append(p.found, difference{p.s.Name, len(p.s.Frames), code, at, absent, fmt.Sprint(extra.Code, " ", string(extra.Remark))})
		}
	}
}
