// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package remoting

import (
	"crypto/tls"
	"encoding/binary"
	"io"
	"net"
	"sync"
	"testing"

	"github.com/twostage/twostage/internal/secure"
	"github.com/twostage/twostage/internal/wire"
)

// echoHeader is an answer header that allocates nothing.
type echoHeader struct{ id int64 }

func (h *echoHeader) EncodeExt(w *wire.ExtWriter) { w.Int64("queueOffset", h.id) }

// echoOne serves like a hot handler: what it answers with lives as long as it.
func echoOne() Handler {
	pool := sync.Pool{New: func() any {
		return &struct {
			h    echoHeader
			resp wire.Response
		}{}
	}}
	return func(r *Request) {
		s := pool.Get().(*struct {
			h    echoHeader
			resp wire.Response
		})
		s.h.id++
		s.resp = wire.Response{Header: &s.h, Body: r.Body}
		r.Reply(&s.resp)
		pool.Put(s)
	}
}

// deferOne answers with tickets at the end of the batch.
func deferOne() (Handler, func(*Conn)) {
	var held []Ticket
	resp := &wire.Response{}
	return func(r *Request) { held = append(held, r.Ticket()) },
		func(*Conn) {
			for i := range held {
				held[i].Reply(resp)
			}
			held = held[:0]
		}
}

func pipeline(enc wire.Encoding, code int32, n, size int) []byte {
	var all []byte
	fields := wire.Fields{{Key: []byte("topic"), Value: []byte("orders")}, {Key: []byte("queueId"), Value: []byte("3")}}
	for i := range n {
		all = wire.AppendRequest(all, &wire.Request{Code: code, Opaque: int32(i), Encoding: enc, Fields: fields, Body: make([]byte, size)})
	}
	return all
}

func TestInlineRequestsAllocateNothing(t *testing.T) {
	hold, end := deferOne()
	_, addr := serve(t, nil, ServerConfig{EndOfBatch: end, Routes: table(map[int32]Route{
		codeEcho: {Handler: echoOne()}, codeHold: {Handler: hold},
	})})
	for name, tc := range map[string]struct {
		enc  wire.Encoding
		code int32
	}{"JSON": {wire.JSON, codeEcho}, "binary": {wire.Binary, codeEcho}, "tickets": {wire.Binary, codeHold}} {
		p := dial(t, nil, addr)
		const n = 32
		reqs := pipeline(tc.enc, tc.code, n, 1024)
		buf := make([]byte, 64<<10)
		round := func() {
			if _, err := p.Write(reqs); err != nil {
				t.Fatal(err)
			}
			if err := skipFrames(p, buf, n); err != nil {
				t.Fatal(err)
			}
		}
		for range 50 { // buffers grow to their size
			round()
		}
		if avg := testing.AllocsPerRun(200, round); avg >= 2 && !raceEnabled {
			t.Errorf("%s: %v allocations for %d requests", name, avg, n)
		} else {
			t.Logf("%s: %v allocations for %d requests", name, avg, n)
		}
	}
}

// skipFrames reads n frames into buf and throws them away.
func skipFrames(r io.Reader, buf []byte, n int) error {
	have := 0
	for n > 0 {
		m, err := r.Read(buf[have:])
		if err != nil {
			return err
		}
		have += m
		at := 0
		for have-at >= 4 {
			size := 4 + int(binary.BigEndian.Uint32(buf[at:]))
			if have-at < size {
				break
			}
			at += size
			n--
		}
		have = copy(buf, buf[at:have])
	}
	return nil
}

// load keeps inflight requests under way on each of conns connections.
func load(b *testing.B, dial func() (net.Conn, error), enc wire.Encoding, conns, inflight, size int) {
	b.SetBytes(int64(size))
	b.ReportAllocs()
	reqs := pipeline(enc, codeEcho, inflight, size)
	var peers []net.Conn
	for range conns {
		nc, err := dial()
		if err != nil {
			b.Fatal(err)
		}
		defer nc.Close()
		peers = append(peers, nc)
	}
	b.ResetTimer()
	var wg sync.WaitGroup
	for _, nc := range peers {
		wg.Go(func() {
			buf := make([]byte, 256<<10)
			for left := b.N/conns + 1; left > 0; left -= inflight {
				if _, err := nc.Write(reqs); err != nil {
					b.Error(err)
					return
				}
				if err := skipFrames(nc, buf, inflight); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
}

// plain dials addr.
func plain(addr string) func() (net.Conn, error) {
	return func() (net.Conn, error) { return net.Dial("tcp", addr) }
}

func BenchmarkEcho(b *testing.B) {
	for _, enc := range []wire.Encoding{wire.JSON, wire.Binary} {
		for _, shape := range []struct {
			name            string
			conns, inflight int
		}{{"8x64", 8, 64}, {"1x1", 1, 1}} {
			b.Run(enc.String()+"/"+shape.name, func(b *testing.B) {
				_, addr := serve(b, nil, ServerConfig{Routes: table(map[int32]Route{codeEcho: {Handler: echoOne()}})})
				load(b, plain(addr), enc, shape.conns, shape.inflight, 1024)
			})
			b.Run("TLS/"+enc.String()+"/"+shape.name, func(b *testing.B) {
				_, addr := serve(b, nil, ServerConfig{TLS: selfSigned(b, secure.Permissive), Routes: table(map[int32]Route{codeEcho: {Handler: echoOne()}})})
				load(b, func() (net.Conn, error) {
					return tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true, DynamicRecordSizingDisabled: true})
				}, enc, shape.conns, shape.inflight, 1024)
			})
			b.Run("bare/"+enc.String()+"/"+shape.name, func(b *testing.B) {
				load(b, plain(bareEcho(b)), enc, shape.conns, shape.inflight, 1024)
			})
		}
	}
}

// bareEcho is the least a server can do: one read, the frames found by their
// lengths and sent back as they are with one write.
func bareEcho(b *testing.B) string {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer nc.Close()
				buf := make([]byte, 256<<10)
				have := 0
				for {
					n, err := nc.Read(buf[have:])
					if err != nil {
						return
					}
					have += n
					at := 0
					for have-at >= 4 {
						size := 4 + int(binary.BigEndian.Uint32(buf[at:]))
						if have-at < size {
							break
						}
						at += size
					}
					if _, err := nc.Write(buf[:at]); err != nil {
						return
					}
					have = copy(buf, buf[at:have])
				}
			})
		}
	})
	b.Cleanup(func() { ln.Close(); wg.Wait() })
	return ln.Addr().String()
}
