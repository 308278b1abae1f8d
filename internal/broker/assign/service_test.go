// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package assign

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/twostage/twostage/internal/vfs"
	"github.com/twostage/twostage/internal/wire/body"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is what a service asks.
type world struct {
	topics  map[string]int32 // queues of this broker, a
	clients map[string][]string
	fs      *vfs.Mem

	mu    sync.Mutex
	route map[string]int32 // queues of broker b; of a it always says 1
	down  bool
	asked int
}

func (w *world) config(namesrv bool) Config {
	c := Config{
		FS: w.fs, Dir: "/store/config", Broker: "a", DefaultMode: body.RequestPull, DefaultShare: -1, Balance: true,
		Refresh: 30 * time.Second, Logger: slog.New(slog.DiscardHandler),
		Topic: func(name string) (*body.TopicConfig, bool) {
			n, ok := w.topics[name]
			return &body.TopicConfig{TopicName: name, ReadQueueNums: n, WriteQueueNums: n, Perm: 6}, ok
		},
		Clients: func(group string) []string { return w.clients[group] },
	}
	if namesrv {
		c.Route = func(_ context.Context, topic string) (*body.TopicRouteData, error) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.asked++
			n, ok := w.route[topic]
			switch {
			case w.down:
				return nil, errors.New("no answer")
			case !ok:
				return nil, fmt.Errorf("%w of %s", ErrNoRoute, topic)
			}
			return &body.TopicRouteData{
				QueueDatas:  []body.QueueData{{BrokerName: "b", ReadQueueNums: n, Perm: 6}, {BrokerName: "a", ReadQueueNums: 1, Perm: 6}, {BrokerName: "c", ReadQueueNums: 3, Perm: 2}},
				BrokerDatas: []body.BrokerData{{BrokerName: "a"}, {BrokerName: "b"}, {BrokerName: "c"}},
			}, nil
		}
	}
	return c
}

func (w *world) questions() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.asked
}

func open(t *testing.T, c Config) *Service {
	t.Helper()
	s, err := Open(c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func newWorld() *world {
	return &world{
		fs: vfs.NewMem(), topics: map[string]int32{"T": 4}, clients: map[string][]string{"g": {"c0", "c1", "c2"}},
		route: map[string]int32{"T": 2},
	}
}

// got is an answer in short: "a0 a1 b0 POP".
func got(s *Service, q body.QueryAssignmentRequestBody) string {
	list, err := s.Query(context.Background(), &q)
	if err != nil {
		return "error: " + err.Error()
	}
	var out []string
	mode := ""
	for _, a := range list {
		out = append(out, fmt.Sprintf("%s%d", a.MessageQueue.BrokerName, a.MessageQueue.QueueID))
		mode = string(a.Mode)
	}
	return strings.TrimSpace(strings.Join(out, " ") + " " + mode)
}

func query(client, strategy string) body.QueryAssignmentRequestBody {
	return body.QueryAssignmentRequestBody{Topic: "T", ConsumerGroup: "g", ClientID: client, StrategyName: strategy, MessageModel: body.Clustering}
}

func TestShares(t *testing.T) {
	for _, c := range []struct {
		clients  int
		client   string
		strategy string
		mode     body.RequestMode
		shared   int32
		want     string
	}{
		// Six queues: a0 to a3, b0, b1.
		{3, "c0", "AVG", "PULL", 0, "a0 a1 PULL"},
		{3, "c2", "AVG", "PULL", 0, "b0 b1 PULL"},
		{4, "c0", "AVG", "PULL", 0, "a0 a1 PULL"},
		{4, "c1", "AVG", "PULL", 0, "a2 a3 PULL"},
		{4, "c2", "AVG", "PULL", 0, "b0 PULL"},
		{4, "c3", "AVG", "PULL", 0, "b1 PULL"},
		{8, "c5", "AVG", "PULL", 0, "b1 PULL"},
		{8, "c6", "AVG", "PULL", 0, ""},
		{4, "c1", "AVG_BY_CIRCLE", "PULL", 0, "a1 b1 PULL"},
		{4, "c2", "AVG_BY_CIRCLE", "PULL", 0, "a2 PULL"},
		{8, "c7", "AVG_BY_CIRCLE", "PULL", 0, ""},
		{3, "stranger", "AVG", "PULL", 0, ""},
		{3, "c0", "CONSISTENT_HASH", "PULL", 0, `error: no assignment for group g: strategy "CONSISTENT_HASH" is neither AVG nor AVG_BY_CIRCLE`},
		{3, "", "AVG", "PULL", 0, "error: no assignment for group g: the query has no clientId"},
		{0, "c0", "AVG", "PULL", 0, "error: no assignment for group g: no heartbeat of the group has come"},
		{3, "c0", "AVG", "POP", 0, "a-1 b-1 POP"},
		{3, "c0", "AVG", "POP", -1, "a-1 b-1 POP"},
		{3, "c0", "AVG", "POP", 2, "a-1 b-1 POP"},
		{3, "stranger", "AVG", "POP", 2, "a-1 b-1 POP"},
		{3, "c0", "AVG", "POP", 1, "a0 a1 a2 a3 POP"},
		{3, "c2", "AVG", "POP", 1, "a0 a1 b0 b1 POP"}, // its own and, round the end, the first's
		{3, "stranger", "AVG", "POP", 1, ""},
		{8, "c7", "AVG", "POP", 1, "a1 POP"}, // more clients than queues
	} {
		w := newWorld()
		w.clients["g"] = nil
		for i := range c.clients {
			w.clients["g"] = append(w.clients["g"], fmt.Sprint("c", i))
		}
		s := open(t, w.config(true))
		if err := s.SetMode(body.RequestModeConfig{Topic: "T", ConsumerGroup: "g", Mode: c.mode, PopShareQueueNum: c.shared}); err != nil {
			t.Fatal(err)
		}
		if out := got(s, query(c.client, c.strategy)); out != c.want {
			t.Errorf("%+v: got %q", c, out)
		}
	}
}

// Each queue has one owner, whatever the numbers.
func TestSharesCoverAllQueuesOnce(t *testing.T) {
	for n := range 12 {
		var queues []body.MessageQueue
		for i := range n {
			queues = append(queues, body.MessageQueue{Topic: "T", BrokerName: "a", QueueID: int32(i)})
		}
		for clients := 1; clients < 8; clients++ {
			for name, how := range strategies {
				var all []body.MessageQueue
				for i := range clients {
					all = append(all, how(queues, i, clients)...)
				}
				if len(all) != n || !slices.Equal(unique(all), queues) {
					t.Errorf("%s: %d queues, %d clients: %v", name, n, clients, all)
				}
			}
		}
	}
}

func TestBroadcastAndNoBalancing(t *testing.T) {
	w := newWorld()
	s := open(t, w.config(true))
	q := query("stranger", "none")
	q.MessageModel = body.Broadcasting
	if out := got(s, q); out != "a0 a1 a2 a3 b0 b1 PULL" {
		t.Errorf("broadcasting: %q", out)
	}
	c := w.config(true)
	c.Balance = false
	if out := got(open(t, c), query("stranger", "")); out != "a0 a1 a2 a3 b0 b1 PULL" {
		t.Errorf("without balancing: %q", out)
	}
}

func TestDefaults(t *testing.T) {
	w := newWorld()
	c := w.config(false)
	c.DefaultMode, c.DefaultShare = body.RequestPop, 1
	w.topics["%RETRY%g"] = 1
	s := open(t, c)
	if out := got(s, query("c0", "AVG")); out != "a0 a1 a2 POP" { // 2 of its own, 1 of the next
		t.Errorf("by default: %q", out)
	}
	q := query("c0", "AVG")
	if q.Topic = "%RETRY%g"; got(s, q) != "a0 PULL" {
		t.Errorf("a retry topic: %q", got(s, q))
	}
}

func TestWithoutNameServers(t *testing.T) {
	s := open(t, newWorld().config(false))
	if out := got(s, query("c1", "AVG")); out != "a2 PULL" {
		t.Errorf("its own queues: %q", out)
	}
	q := query("c1", "AVG")
	if q.Topic = "U"; !strings.Contains(got(s, q), "topic U does not exist on this broker, and no name server is configured") {
		t.Errorf("an unknown topic: %q", got(s, q))
	}
}

func TestQueriesThatSayTooLittle(t *testing.T) {
	s := open(t, newWorld().config(true))
	for _, q := range []body.QueryAssignmentRequestBody{
		{ConsumerGroup: "g", MessageModel: body.Clustering},
		{Topic: "T", MessageModel: body.Clustering},
		{Topic: "T", ConsumerGroup: "g"},
		{Topic: "T", ConsumerGroup: "g", MessageModel: "OTHER"},
	} {
		if _, err := s.Query(context.Background(), &q); !errors.Is(err, ErrQuery) {
			t.Errorf("%+v: %v", q, err)
		}
	}
}

func TestRoutesAreRenewed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		s := open(t, w.config(true))
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() { _ = s.Run(ctx) })
		defer wg.Wait()
		defer cancel()
		q := query("c0", "AVG")
		q.MessageModel = body.Broadcasting
		want := func(what, want string) {
			t.Helper()
			if out := got(s, q); out != want {
				t.Errorf("%s: %q, want %q", what, out, want)
			}
		}
		set := func(n int32, down bool) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.route["T"], w.down = n, down
		}
		want("at first", "a0 a1 a2 a3 b0 b1 PULL")
		want("again", "a0 a1 a2 a3 b0 b1 PULL")
		if n := w.questions(); n != 1 {
			t.Errorf("asked %d times", n)
		}
		set(1, false)
		time.Sleep(31 * time.Second)
		want("after an interval", "a0 a1 a2 a3 b0 PULL")
		set(3, true)
		time.Sleep(time.Minute)
		want("the name servers do not answer", "a0 a1 a2 a3 b0 PULL")
		other := q
		if other.Topic = "U"; !strings.Contains(got(s, other), "no answer") {
			t.Errorf("a topic that is not known: %q", got(s, other))
		}
		asked := w.questions()
		if _ = got(s, other); w.questions() != asked {
			t.Error("asked again at once")
		}
		set(3, false)
		w.mu.Lock()
		delete(w.route, "T")
		w.mu.Unlock()
		time.Sleep(30 * time.Second)
		if out := got(s, q); !strings.Contains(out, "no route") {
			t.Errorf("a topic that is gone: %q", out)
		}
		set(1, false)
		want("it is back", "a0 a1 a2 a3 b0 PULL")
		time.Sleep((unusedFor + 1) * 30 * time.Second)
		s.routes.mu.Lock()
		defer s.routes.mu.Unlock()
		if len(s.routes.known) != 0 {
			t.Error("a route that nobody wants is kept")
		}
	})
}

func TestModesAreKept(t *testing.T) {
	w := newWorld()
	s := open(t, w.config(false))
	for _, c := range []body.RequestModeConfig{
		{Topic: "T", ConsumerGroup: "g", Mode: body.RequestPop, PopShareQueueNum: 3},
		{Topic: "T", ConsumerGroup: "h", Mode: body.RequestPull},
		{Topic: "U", ConsumerGroup: "g"},
	} {
		if err := s.SetMode(c); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.SetMode(body.RequestModeConfig{Topic: "T", ConsumerGroup: "g", Mode: "PUSH"}); !errors.Is(err, ErrMode) {
		t.Error(err)
	}
	if err := s.SetMode(body.RequestModeConfig{Topic: "T", Mode: "POP"}); !errors.Is(err, ErrMode) {
		t.Error(err)
	}
	if err := s.SetMode(body.RequestModeConfig{Topic: "%RETRY%g", ConsumerGroup: "g", Mode: "POP"}); !errors.Is(err, ErrRetryTopic) {
		t.Error(err)
	}
	w.fs = w.fs.Crash(vfs.CrashOptions{})
	s = open(t, w.config(false))
	if c, set := s.Mode("T", "g"); !set || c.Mode != body.RequestPop || c.PopShareQueueNum != 3 {
		t.Errorf("after a crash: %+v %v", c, set)
	}
	if c, set := s.Mode("U", "g"); !set || c.Mode != body.RequestPull {
		t.Errorf("the mode left out: %+v %v", c, set)
	}
	if c, set := s.Mode("U", "h"); set || c.Mode != body.RequestPull {
		t.Errorf("never set: %+v %v", c, set)
	}
}

// The layout is that of RocketMQ's own file.
func TestModesOfRocketMQ(t *testing.T) {
	w := newWorld()
	const text = `{
	"messageRequestModeMap":{
		"T":{
			"g":{
				"consumerGroup":"g",
				"mode":"POP",
				"popShareQueueNum":2,
				"topic":"T"
			}
		}
	}
}`
	if err := w.fs.MkdirAll("/store/config"); err != nil {
		t.Fatal(err)
	}
	put := func(text string) {
		if err := vfs.ReplaceFile(w.fs, "/store/config/messageRequestMode.json", []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	put(text)
	s := open(t, w.config(false))
	c, set := s.Mode("T", "g")
	if !set || c.Mode != body.RequestPop || c.PopShareQueueNum != 2 {
		t.Errorf("read %+v %v", c, set)
	}
	if err := s.SetMode(c); err != nil {
		t.Fatal(err)
	}
	if out, err := vfs.ReadFile(w.fs, "/store/config/messageRequestMode.json"); err != nil || string(out) != text {
		t.Errorf("written %s %v", out, err)
	}
	for _, bad := range []string{"{", `{"messageRequestModeMap":{"T":{"g":{"mode":"PUSH"}}}}`} {
		put(bad)
		if _, err := Open(w.config(false)); err == nil || !strings.Contains(err.Error(), "messageRequestMode.json") {
			t.Errorf("%s: %v", bad, err)
		}
	}
}
