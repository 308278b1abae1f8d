// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package remoting

import (
	"bytes"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twostage/twostage/internal/wire"
)

// text is what goroutines write to.
type text struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *text) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *text) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// measured are the latencies of a server, by key.
func measured(s *Server) map[LatencyKey]Latency {
	m := map[LatencyKey]Latency{}
	s.Latencies(func(k LatencyKey, l *Latency) { m[k] = *l })
	return m
}

// TestLatencies: how long requests take is counted by code, answer and result.
func TestLatencies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem, log := NewMemNetwork(), &text{}
		tickets := make(chan Ticket, 2)
		sleep := func(d time.Duration) Handler {
			return func(r *Request) {
				time.Sleep(d)
				r.Reply(&wire.Response{Code: wire.TopicNotExist})
			}
		}
		s, addr := serve(t, mem, ServerConfig{Slow: time.Second, Logger: slog.New(slog.NewTextHandler(log, nil)), Routes: table(map[int32]Route{
			codeEcho:  {Handler: sleep(2 * time.Millisecond)},
			codeSlow:  {Handler: sleep(1200 * time.Millisecond), Lane: NewLane("one", 1, 10)},
			codeHold:  {Handler: func(r *Request) { tickets <- r.Ticket().Held() }},
			codeOther: {Handler: func(r *Request) { tickets <- r.Ticket() }},
		})})
		p := dial(t, mem, addr)
		p.send(frame(codeEcho, 1, ""))
		p.read()
		p.send(frame(codeHold, 2, ""), frame(codeOther, 3, ""))
		held, later := <-tickets, <-tickets
		time.Sleep(2 * time.Second)
		held.Reply(&wire.Response{})
		later.Reply(&wire.Response{})
		p.read()
		p.read()
		time.Sleep(1100 * time.Millisecond) // the next one is logged again
		p.send(frame(codeSlow, 4, ""), frame(codeSlow, 5, ""))
		p.read()
		p.read()
		synctest.Wait()
		got := measured(s)
		for _, want := range []struct {
			key   LatencyKey
			sum   time.Duration
			count map[int]int64 // by bucket
		}{
			{LatencyKey{Request: codeEcho, Response: wire.TopicNotExist}, 2 * time.Millisecond, map[int]int64{1: 1}},
			{LatencyKey{Request: codeHold, Held: true}, 2 * time.Second, map[int]int64{7: 1}},
			{LatencyKey{Request: codeOther}, 2 * time.Second, map[int]int64{7: 1}},
			{LatencyKey{Request: codeSlow, Response: wire.TopicNotExist}, 3600 * time.Millisecond, map[int]int64{7: 1, 8: 1}},
		} {
			l := Latency{Sum: want.sum}
			for i, n := range want.count {
				l.Counts[i] = n
			}
			if got[want.key] != l {
				t.Errorf("%+v: %+v, want %+v", want.key, got[want.key], l)
			}
		}
		if len(got) != 4 || s.SlowRequests() != 3 {
			t.Errorf("%d keys, %d slow requests", len(got), s.SlowRequests())
		}
		var lines []string
		for line := range strings.Lines(log.String()) {
			if strings.Contains(line, "slow request") {
				lines = append(lines, line)
			}
		}
		for i, want := range [][]string{
			{"-1-3 ", "took=2s", "waited=answer", "lane=0s"},
			{"-1-4 ", "took=1.2s", "waited=handler", "lane=0s"},
			{"-1-5 ", "took=2.4s", "waited=lane", "lane=1.2s", "serving=1.2s"},
		} {
			for _, w := range want {
				if i >= len(lines) || !strings.Contains(lines[i], w) {
					t.Errorf("slow request %d: %q, want %q", i, lines, w)
				}
			}
		}
	})
}

// TestSlowRequestsAreLoggedOnceASecond: what is not logged is counted in the next.
func TestSlowRequestsAreLoggedOnceASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &text{}
		l := newLatencies(time.Second, nil, slog.New(slog.NewTextHandler(log, nil)))
		c := &Conn{}
		for range 5 {
			time.Sleep(400 * time.Millisecond)
			l.tell(c, &timed{n: 2}, 2*time.Second, 0, l.now())
		}
		if got := log.String(); strings.Count(got, "slow request") != 2 || !strings.Contains(got, "others=4") {
			t.Errorf("logged:\n%s", got)
		}
		if n := l.slows.Load(); n != 10 {
			t.Errorf("%d slow requests", n)
		}
	})
}

// TestUnknownCodesAreOneKey: codes that a peer makes up leave the room to those that
// are served, which are measured as before.
func TestUnknownCodesAreOneKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := NewMemNetwork()
		s, addr := serve(t, mem, ServerConfig{Routes: table(map[int32]Route{codeEcho: {Handler: func(r *Request) { r.Reply(&wire.Response{}) }}})})
		p := dial(t, mem, addr)
		for code := range int32(maxLatencies + 1) {
			p.send(frame(50_000+code, code, ""))
			p.read()
		}
		p.send(frame(codeEcho, 1, ""))
		p.read()
		synctest.Wait()
		by := measured(s)
		rest, echo := by[LatencyKey{Request: Other, Response: wire.RequestCodeNotSupported}], by[LatencyKey{Request: codeEcho}]
		if len(by) != 2 || rest.Count() != maxLatencies+1 || echo.Count() != 1 {
			t.Errorf("%d keys, %d of unknown codes, %d of the known one", len(by), rest.Count(), echo.Count())
		}
	})
}

// TestLatencyKeysAreBounded: whatever handlers answer.
func TestLatencyKeysAreBounded(t *testing.T) {
	l := newLatencies(0, func(int32) bool { return true }, nil)
	for code := range int32(2 * maxLatencies) {
		l.of(LatencyKey{Request: code}).add(time.Millisecond, 1)
	}
	by := *l.by.Load()
	rest := by[LatencyKey{Request: Other, Response: Other}]
	if len(by) != maxLatencies+1 || rest == nil || rest.counts[0].Load() != maxLatencies {
		t.Errorf("%d keys, other: %+v", len(by), rest)
	}
}

// TestRequestsThatAreNotAdmittedAreMeasured: from when they were read, as all are.
func TestRequestsThatAreNotAdmittedAreMeasured(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem, log := NewMemNetwork(), &logs{}
		s, addr := serve(t, mem, ServerConfig{Slow: time.Second, Logger: log.logger(), Routes: table(map[int32]Route{
			codeEcho: {Handler: echo, Admit: func(r *Request) bool {
				r.Reply(&wire.Response{Code: wire.NoPermission})
				return false
			}},
		})})
		time.Sleep(time.Hour) // the server is up for longer than anything takes
		p := dial(t, mem, addr)
		p.send(frame(codeEcho, 1, ""))
		p.read()
		synctest.Wait()
		got := measured(s)[LatencyKey{Request: codeEcho, Response: wire.NoPermission}]
		if got.Count() != 1 || got.Sum != 0 || s.SlowRequests() != 0 {
			t.Errorf("%+v, %d slow requests; log:\n%s", got, s.SlowRequests(), log.buf.String())
		}
	})
}

// TestAnswersAreCountedAsTheyWentOut: once each, also one whose encoding panics or
// that is too large, which another takes the place of.
func TestAnswersAreCountedAsTheyWentOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := NewMemNetwork()
		s, addr := serve(t, mem, ServerConfig{Routes: table(map[int32]Route{
			codeEcho: {Handler: func(r *Request) { r.Reply(&wire.Response{Header: badHeader{}}) }},
			codeSlow: {Handler: func(r *Request) { r.Reply(&wire.Response{Body: make([]byte, wire.MaxFrame)}) }},
		})})
		p := dial(t, mem, addr)
		for _, code := range []int32{codeEcho, codeSlow} {
			p.send(frame(code, 1, ""))
			p.read()
		}
		synctest.Wait()
		got := measured(s)
		for _, code := range []int32{codeEcho, codeSlow} {
			if l := got[LatencyKey{Request: code, Response: wire.SystemError}]; l.Count() != 1 {
				t.Errorf("code %d: %+v", code, l)
			}
		}
		if len(got) != 2 {
			t.Errorf("%+v", got)
		}
	})
}
