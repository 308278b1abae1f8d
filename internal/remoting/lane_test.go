// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package remoting

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twostage/twostage/internal/wire"
)

// blockers is a handler that holds its goroutine until told to go on.
type blockers struct {
	started chan string
	goOn    chan struct{}
}

func newBlockers() *blockers {
	return &blockers{started: make(chan string, 64), goOn: make(chan struct{})}
}

func (b *blockers) serve(r *Request) {
	b.started <- string(r.Body)
	<-b.goOn
	r.Reply(&wire.Response{Body: r.Body})
}

func TestLaneDoesNotDelayInline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBlockers()
		lane := NewLane("admin", 2, 3)
		mem := NewMemNetwork()
		s, addr := serve(t, mem, ServerConfig{Routes: table(map[int32]Route{
			codeEcho: {Handler: echo},
			codeSlow: {Handler: b.serve, Lane: lane},
		})})
		p := dial(t, mem, addr)
		for i, body := range []string{"a", "b", "c", "d", "e"} { // 2 run, 3 wait
			p.send(frame(codeSlow, int32(i), body))
		}
		p.send(frame(codeSlow, 5, "f"))
		busy := p.read()
		if busy.Opaque != 5 || busy.Code != wire.SystemBusy || string(busy.Remark) != "[lane admin] queue is full (3 waiting)" {
			t.Errorf("a full lane answered %d: %d %q", busy.Opaque, busy.Code, busy.Remark)
		}
		p.send(frame(codeEcho, 9, "inline"))
		if got := p.read(); got.Opaque != 9 {
			t.Errorf("inline behind a full lane: %+v", got)
		}
		time.Sleep(3 * time.Second) // of the bubble
		if st := s.Stats(); st.LaneRequests != 5 || st.LaneRejects != 1 || lane.Waiting() != 3 || lane.Rejected() != 1 || lane.Waited() != 3*time.Second || NewLane("idle", 1, 1).Waited() != 0 {
			t.Errorf("stats %+v, %d waiting for %v, %d rejected", st, lane.Waiting(), lane.Waited(), lane.Rejected())
		}
		close(b.goOn)
		var bodies []string
		for range 5 {
			bodies = append(bodies, string(p.read().Body))
		}
		if all := strings.Join(bodies, ""); len(all) != 5 || strings.Trim(all, "abcde") != "" {
			t.Errorf("bodies %q", bodies)
		}
		synctest.Wait()
		if lane.active != 0 {
			t.Errorf("%d workers are left without work", lane.active)
		}
		p.send(frame(codeSlow, 10, "again"))
		if got := p.read(); string(got.Body) != "again" {
			t.Errorf("a lane that was idle: %+v", got)
		}
	})
}

// A lane's ring wraps and grows while requests wait.
func TestLaneKeepsOrder(t *testing.T) {
	b := newBlockers()
	lane := NewLane("one", 1, 100)
	_, addr := serve(t, nil, ServerConfig{Routes: table(map[int32]Route{codeSlow: {Handler: b.serve, Lane: lane}})})
	p := dial(t, nil, addr)
	next, answered := int32(0), int32(0)
	for _, n := range []int{30, 5, 60, 20} {
		for range n {
			p.send(frame(codeSlow, next, ""))
			next++
		}
		for range n / 2 {
			b.goOn <- struct{}{}
			<-b.started
			if got := p.read(); got.Opaque != answered {
				t.Fatalf("answer %d, want %d", got.Opaque, answered)
			}
			answered++
		}
	}
	for answered < next {
		b.goOn <- struct{}{}
		<-b.started
		if got := p.read(); got.Opaque != answered {
			t.Fatalf("answer %d, want %d", got.Opaque, answered)
		}
		answered++
	}
}

// In an ordered lane a request that takes long holds up those behind it on its own
// connection, and no others; connections take turns, and all that wait count.
func TestOrderedLane(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		started := make(chan string, 16)
		goOn := map[byte]chan struct{}{'a': make(chan struct{}), 'b': make(chan struct{}), 'c': make(chan struct{})}
		lane := NewOrderedLane("client", 2, 7)
		mem := NewMemNetwork()
		_, addr := serve(t, mem, ServerConfig{Routes: table(map[int32]Route{codeSlow: {Lane: lane, Handler: func(r *Request) {
			started <- string(r.Body)
			<-goOn[r.Body[0]]
			r.Reply(&wire.Response{Body: r.Body})
		}}})})
		peers := map[byte]*peer{'a': dial(t, mem, addr), 'b': dial(t, mem, addr), 'c': dial(t, mem, addr)}
		for i, body := range []string{"a1", "a2", "a3", "b1", "b2", "c1", "c2", "c3", "a4"} {
			peers[body[0]].send(frame(codeSlow, int32(i), body))
			synctest.Wait()
		}
		if n := lane.Waiting(); n != 7 || len(started) != 2 {
			t.Errorf("%d wait and %d run, want 7 and 2", n, len(started))
		}
		for _, p := range peers {
			p.send(frame(codeSlow, 99, "more"))
			if got := p.read(); got.Opaque != 99 || got.Code != wire.SystemBusy || string(got.Remark) != "[lane client] queue is full (7 waiting)" {
				t.Errorf("a full lane answered %d: %d %q", got.Opaque, got.Code, got.Remark)
			}
		}
		for _, c := range []byte("abcabcaca") {
			goOn[c] <- struct{}{}
			peers[c].read()
			synctest.Wait()
		}
		var order []string
		for len(started) > 0 {
			order = append(order, <-started)
		}
		if want := []string{"a1", "b1", "c1", "a2", "b2", "c2", "a3", "c3", "a4"}; !slices.Equal(order, want) {
			t.Errorf("began %v, want %v", order, want)
		}
		if lane.active != 0 || len(lane.behind) != 0 || lane.Waiting() != 0 {
			t.Errorf("%d workers, %d connections, %d waiting are left without work", lane.active, len(lane.behind), lane.Waiting())
		}
	})
}

func TestInflightBoundStopsReading(t *testing.T) {
	for name, limits := range map[string]Limits{
		"requests": {MaxInflight: 3},
		"bytes":    {MaxInflightBytes: 600},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBlockers()
				mem := NewMemNetwork()
				_, addr := serve(t, mem, ServerConfig{Limits: limits, Routes: table(map[int32]Route{
					codeEcho: {Handler: echo},
					codeSlow: {Handler: b.serve, Lane: NewLane("slow", 10, 10)},
				})})
				p := dial(t, mem, addr)
				slow := frame(codeSlow, 1, strings.Repeat("s", 201-len(frame(codeSlow, 1, ""))+4)) // 201 bytes each
				p.send(slow, slow, slow, slow, frame(codeEcho, 9, ""))
				synctest.Wait()
				if n := len(b.started); n != 3 {
					t.Errorf("%d requests are in flight, want 3", n)
				}
				b.goOn <- struct{}{}
				synctest.Wait()
				if n := len(b.started); n != 4 {
					t.Errorf("after one answer %d requests were begun, want 4", n)
				}
				close(b.goOn)
				for range 5 {
					p.read()
				}
			})
		})
	}
}

func TestTicketsCountAsInflightUntilAnsweredOrDiscarded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tickets := make(chan Ticket, 10)
		mem := NewMemNetwork()
		_, addr := serve(t, mem, ServerConfig{Limits: Limits{MaxInflight: 2}, Routes: table(map[int32]Route{
			codeEcho: {Handler: echo},
			codeHold: {Handler: func(r *Request) { tickets <- r.Ticket() }},
		})})
		p := dial(t, mem, addr)
		p.send(frame(codeHold, 1, ""), frame(codeHold, 2, ""), frame(codeHold, 3, ""), frame(codeEcho, 4, ""))
		synctest.Wait()
		if n := len(tickets); n != 2 {
			t.Fatalf("%d tickets, want 2", n)
		}
		first, second := <-tickets, <-tickets
		first.Discard()
		first.Discard() // once counts
		synctest.Wait()
		if n := len(tickets); n != 1 {
			t.Fatalf("%d more tickets after a discard, want 1", n)
		}
		first.Reply(&wire.Response{Remark: "too late"})
		second.Reply(&wire.Response{Remark: "second"})
		second.Reply(&wire.Response{Remark: "twice"})
		if got := p.read(); got.Opaque != 2 || string(got.Remark) != "second" {
			t.Errorf("answer %+v", got)
		}
		if got := p.read(); got.Opaque != 4 {
			t.Errorf("answer %+v, want that to the request read last", got)
		}
		(<-tickets).Reply(&wire.Response{})
		if got := p.read(); got.Opaque != 3 {
			t.Errorf("answer %+v", got)
		}
	})
}

// What handlers keep of requests that wait for their tickets counts until they are
// answered: all that came through a lane, the header fields of others, nothing for a
// light ticket.
func TestTicketsCountWithWhatIsKept(t *testing.T) {
	lane := NewLane("hold", 10, 10)
	for name, c := range map[string]struct {
		lane   *Lane
		ticket func(*Request) Ticket
		fields int // bytes of the header fields of a request
		body   int // and of its body
		want   int // tickets before the connection is not read
	}{
		"lane":        {lane, (*Request).Ticket, 0, 400, 2},
		"lane, light": {lane, (*Request).LightTicket, 0, 400, 10},
		"inline":      {nil, (*Request).Ticket, 400, 0, 2},
		"body":        {nil, (*Request).Ticket, 0, 400, 10}, // which an inline handler can't keep without a copy
		"light":       {nil, (*Request).LightTicket, 400, 0, 10},
		"both": {lane, func(r *Request) Ticket {
			r.LightTicket()
			r.Ticket()
			return r.LightTicket()
		}, 0, 400, 2},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const requests = 10
				tickets := make(chan Ticket, requests)
				mem := NewMemNetwork()
				_, addr := serve(t, mem, ServerConfig{Limits: Limits{MaxInflightBytes: 600}, Routes: table(map[int32]Route{
					codeHold: {Handler: func(r *Request) { tickets <- c.ticket(r) }, Lane: c.lane},
				})})
				p := dial(t, mem, addr)
				for i := range int32(requests) {
					p.send(wire.AppendRequest(nil, &wire.Request{Code: codeHold, Opaque: i, Body: make([]byte, c.body),
						Fields: wire.Fields{{Key: []byte("f"), Value: bytes.Repeat([]byte("v"), c.fields)}}}))
					synctest.Wait()
				}
				if n := len(tickets); n != c.want {
					t.Errorf("%d requests wait for their tickets, want %d", n, c.want)
				}
				for range requests { // one answered, one more is read
					(<-tickets).Reply(&wire.Response{})
					p.read()
					synctest.Wait()
				}
			})
		})
	}
}

// Tickets that are never answered do not keep a connection for ever.
func TestStuckConnectionIsClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log logs
		mem := NewMemNetwork()
		s, addr := serve(t, mem, ServerConfig{
			Logger: log.logger(), Limits: Limits{MaxInflight: 2, IdleTimeout: 30 * time.Second},
			Routes: table(map[int32]Route{codeHold: {Handler: func(r *Request) { r.Ticket() }}}),
		})
		p := dial(t, mem, addr)
		p.SetReadDeadline(time.Time{})
		start := time.Now()
		p.send(frame(codeHold, 1, ""), frame(codeHold, 2, ""), frame(codeHold, 3, ""))
		p.wantClosed()
		if d := time.Since(start); d != 30*time.Second {
			t.Errorf("closed after %v", d)
		}
		if n := s.Stats().SlowClosed; n != 1 || len(log.lines("2 requests in flight")) != 1 {
			t.Errorf("SlowClosed = %d; log:\n%s", n, log.buf.String())
		}
	})
}

// TestTogether: requests of a code that follow each other in one read are served as
// one, in the order of others of their lane; those of other reads are not.
func TestTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := NewMemNetwork()
		lane := NewLane("lane", 1, 10)
		var served []string // by the one worker
		s, addr := serve(t, mem, ServerConfig{Limits: Limits{MaxInflight: 4}, Routes: table(map[int32]Route{
			codeEcho: {Handler: echo},
			codeSlow: {Handler: func(r *Request) { served = append(served, string(r.Body)); echo(r) }, Lane: lane},
			codeHold: {Lane: lane, Together: func(all []*Request) {
				var bodies []string
				for _, r := range all {
					bodies = append(bodies, string(r.Body))
				}
				served = append(served, strings.Join(bodies, "+"))
				if bodies[0] == "bad" {
					all[1].Reply(&wire.Response{Body: all[1].Body})
					panic("a bug")
				}
				for _, r := range all {
					echo(r)
				}
			}},
		})})
		p := dial(t, mem, addr)
		opaque := int32(0)
		send := func(want string, requests ...[]byte) {
			t.Helper()
			served = nil
			p.send(requests...)
			synctest.Wait()
			if got := strings.Join(served, " "); got != want {
				t.Errorf("served are %q, want %q", got, want)
			}
		}
		req := func(code int32, body string) []byte {
			opaque++
			return frame(code, opaque, body)
		}
		read := func(n int) (texts []string) {
			for range n {
				cmd := p.read()
				texts = append(texts, string(cmd.Body)+string(cmd.Remark))
			}
			return texts
		}
		send("a+b c d", req(codeHold, "a"), req(codeEcho, "inline"), req(codeHold, "b"), req(codeSlow, "c"), req(codeHold, "d"))
		read(5)
		send("e", req(codeHold, "e"))
		read(1)
		send("1+2+3+4 5", req(codeHold, "1"), req(codeHold, "2"), req(codeHold, "3"), req(codeHold, "4"), req(codeHold, "5")) // 4 are in flight
		read(5)
		send("bad+f+g", req(codeHold, "bad"), req(codeHold, "f"), req(codeHold, "g"))
		answers := read(3)
		panicked := "internal error while serving request code 902: a bug"
		if answers[0] != "f" || answers[1] != panicked || answers[2] != panicked {
			t.Errorf("answers %q", answers)
		}
		synctest.Wait()
		if st := s.Stats(); st.Panics != 1 || st.LaneRequests != 0 {
			t.Errorf("%+v", st)
		}
	})
}

// TestTogetherBusy: a full lane refuses each of several requests.
func TestTogetherBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBlockers()
		mem := NewMemNetwork()
		lane := NewLane("lane", 1, 1)
		s, addr := serve(t, mem, ServerConfig{Routes: table(map[int32]Route{
			codeSlow: {Handler: b.serve, Lane: lane},
			codeHold: {Lane: lane, Together: func(all []*Request) {
				for _, r := range all {
					echo(r)
				}
			}},
		})})
		p := dial(t, mem, addr)
		p.send(frame(codeSlow, 1, "")) // runs
		synctest.Wait()
		p.send(frame(codeHold, 2, ""), frame(codeHold, 3, "")) // wait
		synctest.Wait()
		p.send(frame(codeHold, 4, ""), frame(codeHold, 5, ""))
		for opaque := int32(4); opaque <= 5; opaque++ {
			if got := p.read(); got.Opaque != opaque || got.Code != wire.SystemBusy {
				t.Errorf("a full lane answers %+v", got)
			}
		}
		if st := s.Stats(); st.LaneRequests != 3 || st.LaneRejects != 2 || lane.Rejected() != 2 {
			t.Errorf("%+v, %d", st, lane.Rejected())
		}
		close(b.goOn)
		for range 3 {
			p.read()
		}
	})
}
