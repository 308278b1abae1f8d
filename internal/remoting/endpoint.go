// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package remoting

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"runtime/debug"
	"sync"
	"sync/atomic"

	"github.com/twostage/twostage/internal/wire"
)

// Stats counts what went wrong or was refused since the start.
type Stats struct {
	Conns        int   // open now
	Refused      int64 // connections above MaxConns or MaxConnsPerAddr
	BadFrames    int64 // connections closed because of what they sent, but for TLSRefused
	IdleClosed   int64 // connections closed by IdleTimeout
	SlowClosed   int64 // connections closed by WriteTimeout or HardBacklog, or stuck at a bound
	Panics       int64 // handlers that panicked
	LaneRejects  int64 // requests answered with SYSTEM_BUSY
	LateAnswers  int64 // answers to nobody: Invoke had given up
	ReadMemory   int64 // bytes of read buffers beyond 256 KiB each
	LaneRequests int64 // requests queued or running in lanes

	TLSConns        int64 // connections that were secured
	TLSFailed       int64 // handshakes that failed or took too long
	TLSBusy         int64 // connections closed because MaxHandshakes kept them waiting for HandshakeTimeout
	TLSRefused      int64 // connections closed because they began TLS where it is disabled
	PlaintextClosed int64 // connections closed because they were plaintext where TLS is enforced
}

// Add adds what another server counted.
func (s *Stats) Add(o Stats) {
	s.Conns += o.Conns
	for _, f := range []struct {
		to *int64
		n  int64
	}{
		{&s.Refused, o.Refused}, {&s.BadFrames, o.BadFrames}, {&s.IdleClosed, o.IdleClosed}, {&s.SlowClosed, o.SlowClosed},
		{&s.Panics, o.Panics}, {&s.LaneRejects, o.LaneRejects}, {&s.LateAnswers, o.LateAnswers}, {&s.ReadMemory, o.ReadMemory},
		{&s.LaneRequests, o.LaneRequests}, {&s.TLSConns, o.TLSConns}, {&s.TLSFailed, o.TLSFailed}, {&s.TLSBusy, o.TLSBusy},
		{&s.TLSRefused, o.TLSRefused}, {&s.PlaintextClosed, o.PlaintextClosed},
	} {
		*f.to += f.n
	}
}

// endpoint is what the connections of one Server or Client share.
type endpoint struct {
	server  bool
	secure  ServerTLS // of a server
	turns   turns     // of its handshakes
	limits  Limits
	routes  func(code int32) (Route, bool)
	unknown Handler
	onOpen  func(*Conn)
	onFault func(*Conn)
	onClose func(*Conn)
	onBatch func(*Conn)
	lang    wire.Language
	version int32
	sign    func(*wire.Request) wire.Fields
	log     *slog.Logger
	timings *latencies // nil: a client's

	batches sync.Pool // *batch
	calls   sync.Pool // *call
	nextID  atomic.Uint64

	refused, badFrames, idleClosed, slowClosed atomic.Int64
	panics, laneRejects, lateAnswers           atomic.Int64
	readMemory, jobs                           atomic.Int64
	tls                                        tlsCounts
	jobsIdle                                   chan struct{} // capacity 1: jobs has become zero

	mu     sync.Mutex
	conns  map[*Conn]struct{}
	byAddr map[netip.Addr]int // open connections by Network; nil unless they are bounded
	wg     sync.WaitGroup     // reader goroutines, timers of deadlines
}

func newEndpoint(limits Limits, log *slog.Logger) *endpoint {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	ep := &endpoint{
		limits:   limits.withDefaults(),
		log:      log,
		conns:    make(map[*Conn]struct{}),
		jobsIdle: make(chan struct{}, 1),
	}
	ep.batches.New = func() any { return new(batch) }
	ep.calls.New = func() any { return &call{ended: make(chan struct{}, 1)} }
	return ep
}

// open is the number of connections.
func (ep *endpoint) open() int {
	ep.mu.Lock()
	defer ep.mu.Unlock()
	return len(ep.conns)
}

// openFrom is the number of connections from an address's Network, if they are bounded.
func (ep *endpoint) openFrom(addr netip.Addr) int {
	ep.mu.Lock()
	defer ep.mu.Unlock()
	return ep.byAddr[Network(addr)]
}

func (ep *endpoint) stats() Stats {
	return Stats{
		Conns:        ep.open(),
		Refused:      ep.refused.Load(),
		BadFrames:    ep.badFrames.Load(),
		IdleClosed:   ep.idleClosed.Load(),
		SlowClosed:   ep.slowClosed.Load(),
		Panics:       ep.panics.Load(),
		LaneRejects:  ep.laneRejects.Load(),
		LateAnswers:  ep.lateAnswers.Load(),
		ReadMemory:   ep.readMemory.Load(),
		LaneRequests: ep.jobs.Load(),

		TLSConns:        ep.tls.secured.Load(),
		TLSFailed:       ep.tls.failed.Load(),
		TLSBusy:         ep.tls.busy.Load(),
		TLSRefused:      ep.tls.refused.Load(),
		PlaintextClosed: ep.tls.plaintext.Load(),
	}
}

// route finds what serves code.
func (ep *endpoint) route(code int32) Route {
	if r, ok := ep.own(code); ok {
		return r
	}
	if ep.unknown != nil {
		return Route{Handler: ep.unknown}
	}
	return Route{Handler: notSupported}
}

// own is the route that code has itself.
func (ep *endpoint) own(code int32) (r Route, ok bool) {
	if ep.routes == nil {
		return r, false
	}
	r, ok = ep.routes(code)
	return r, ok && (r.Handler != nil || r.Together != nil)
}

// serves says whether code has a route.
func (ep *endpoint) serves(code int32) bool {
	_, ok := ep.own(code)
	return ok
}

func notSupported(r *Request) {
	name := wire.CodeName(r.Code)
	if name == "" {
		name = "unknown"
	}
	remark := fmt.Sprintf("request code %d (%s) is not supported", r.Code, name)
	if why := wire.Unserved(r.Code); why != "" {
		remark += ": " + why
	}
	r.Reply(&wire.Response{Code: wire.RequestCodeNotSupported, Remark: remark})
}

// run calls the handler. A panic is a bug of ours: it is logged with its stack
// and answered, and the process goes on.
func (ep *endpoint) run(h Handler, r *Request) {
	if r.lane && ep.timings != nil {
		r.queued = ep.timings.now() - r.read
	}
	defer r.finish()
	h(r)
}

// admits asks admit; a panic is answered, and refuses.
func (ep *endpoint) admits(admit func(*Request) bool, r *Request) (ok bool) {
	defer func() {
		if p := recover(); p != nil {
			ep.panicked(r, p)
			ok = false
		}
	}()
	return admit(r)
}

// runTogether is run for requests of one connection.
func (ep *endpoint) runTogether(h func([]*Request), all []*Request) {
	if ep.timings != nil {
		now := ep.timings.now()
		for _, r := range all {
			r.queued = now - r.read
		}
	}
	defer finishAll(all)
	h(all)
}

func (ep *endpoint) panicked(r *Request, p any) {
	ep.panics.Add(1)
	ep.log.Error("handler panicked", "request", r.ID(), "code", r.Code, "name", wire.CodeName(r.Code),
		"peer", r.Conn.remote, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
	r.replyPanic(p)
}

func (ep *endpoint) hookPanicked(c *Conn, hook string, p any) {
	ep.panics.Add(1)
	ep.log.Error("connection hook panicked", "hook", hook, "peer", c.remote,
		"panic", fmt.Sprint(p), "stack", string(debug.Stack()))
}

// jobsDone counts requests that have left a lane.
func (ep *endpoint) jobsDone(n int64) {
	if ep.jobs.Add(-n) == 0 {
		select {
		case ep.jobsIdle <- struct{}{}:
		default:
		}
	}
}

// waitJobs waits until no request of this endpoint is in a lane or ctx is done.
// No reader goroutine may be left.
func (ep *endpoint) waitJobs(ctx context.Context) error {
	for ep.jobs.Load() > 0 {
		select {
		case <-ep.jobsIdle:
		case <-ctx.Done():
			if n := ep.jobs.Load(); n > 0 {
				return fmt.Errorf("remoting: %d requests still run in lanes after the time to drain", n)
			}
		}
	}
	return nil
}

// start registers c and starts its reader goroutine.
func (ep *endpoint) start(c *Conn) {
	ep.mu.Lock()
	ep.conns[c] = struct{}{}
	if ep.byAddr != nil {
		ep.byAddr[Network(c.remote.Addr())]++
	}
	ep.wg.Add(1)
	ep.mu.Unlock()
	go c.serve()
}

func (ep *endpoint) gone(c *Conn) {
	ep.mu.Lock()
	delete(ep.conns, c)
	if from := Network(c.remote.Addr()); ep.byAddr[from] > 1 {
		ep.byAddr[from]--
	} else {
		delete(ep.byAddr, from)
	}
	ep.mu.Unlock()
	if c.onGone != nil {
		c.onGone()
	}
	ep.wg.Done()
}

func (ep *endpoint) each(fn func(*Conn)) {
	ep.mu.Lock()
	all := make([]*Conn, 0, len(ep.conns))
	for c := range ep.conns {
		all = append(all, c)
	}
	ep.mu.Unlock()
	for _, c := range all {
		fn(c)
	}
}

// shutdown ends all connections after their requests in flight are answered and
// what is queued is written, or when ctx is done. It waits for all goroutines.
func (ep *endpoint) shutdown(ctx context.Context) error {
	ep.each((*Conn).stopReading)
	done := make(chan struct{})
	go func() {
		ep.wg.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-ctx.Done():
		ep.each((*Conn).Close)
		<-done
	}
	return ep.waitJobs(ctx)
}
