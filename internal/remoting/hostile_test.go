// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package remoting

import (
	"context"
	"encoding/binary"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twostage/twostage/internal/wire"
)

func lengths(length, mark uint32) []byte {
	return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, length), mark)
}

func TestBadFramesCloseTheConnection(t *testing.T) {
	for name, tc := range map[string]struct{ bytes, reason string }{
		"too long":         {string(lengths(16<<20+1, 0)), "length 16777217 is outside"},
		"negative":         {string(lengths(0xffffffff, 0)), "length -1 is outside"},
		"too short":        {string(lengths(3, 0)), "length 3 is outside"},
		"unknown encoding": {string(lengths(100, 7<<24|50)), "header encoding 7 is not known"},
		"header of 10 MB":  {string(lengths(11<<20, 10<<20)), "header of 10485760 bytes"},
		"header too long":  {string(lengths(100, 97)), "header of 97 bytes in a frame of 100"},
		"no JSON":          {string(lengths(8, 4)) + "oops", "bad frame"},
		"HTTP":             {"GET / HTTP/1.1\r\n\r\n", "looks like HTTP"},
		"TLS":              {"\x16\x03\x01\x00\xee\x01\x00\x00", "looks like TLS"},
		"garbage":          {strings.Repeat("\xa7\x13", 4000), "is outside"},
	} {
		t.Run(name, func(t *testing.T) {
			var log logs
			s, addr := serve(t, nil, ServerConfig{
				Logger: log.logger(), Routes: table(map[int32]Route{codeEcho: {Handler: echo}}),
			})
			other := dial(t, nil, addr)
			p := dial(t, nil, addr)
			p.send(frame(codeEcho, 1, "good"), []byte(tc.bytes))
			if got := p.read(); string(got.Body) != "good" {
				t.Errorf("the request before was answered with %+v", got)
			}
			p.wantClosed()
			other.send(frame(codeEcho, 2, "other"))
			if got := other.read(); string(got.Body) != "other" {
				t.Errorf("another connection: %+v", got)
			}
			if n := len(log.lines("level=WARN", tc.reason, "peer="+p.LocalAddr().String())); n != 1 || len(log.lines("WARN")) != 1 {
				t.Errorf("%d warnings with the reason of %d; log:\n%s", n, len(log.lines("WARN")), log.buf.String())
			}
			if n := s.Stats().BadFrames; n != 1 {
				t.Errorf("BadFrames = %d", n)
			}
		})
	}
}

// The announced length of a frame must cost nothing before the bytes come.
func TestAnnouncedLengthCostsNothing(t *testing.T) {
	s, addr := serve(t, nil, ServerConfig{Routes: table(map[int32]Route{codeEcho: {Handler: echo}})})
	p := dial(t, nil, addr)
	p.send(frame(codeEcho, 1, ""))
	p.read()
	before := heap()
	const conns = 50
	for range conns {
		q := dial(t, nil, addr)
		q.send(frame(codeEcho, 1, ""), lengths(16<<20, 100), make([]byte, 60))
		q.read()
	}
	if grown := heap() - before; grown > conns*32<<10 {
		t.Errorf("%d announcements of 16 MiB cost %d bytes", conns, grown)
	}
	if n := s.Stats().ReadMemory; n != 0 {
		t.Errorf("ReadMemory = %d", n)
	}
}

func TestReadMemoryIsBoundedOverAllConnections(t *testing.T) {
	var log logs
	s, addr := serve(t, nil, ServerConfig{
		Logger: log.logger(), Limits: Limits{MaxReadMemory: 4 << 20},
		Routes: table(map[int32]Route{codeEcho: {Handler: func(r *Request) { r.Reply(&wire.Response{}) }}}),
	})
	big := frame(codeEcho, 1, strings.Repeat("x", 3<<20))
	first := dial(t, nil, addr)
	first.send(big[:len(big)-1])
	for s.Stats().ReadMemory < 2<<20 {
		runtime.Gosched()
	}
	second := dial(t, nil, addr)
	second.Write(big[:len(big)-1]) // the server may close before it has taken all
	second.wantClosed()
	first.send(big[len(big)-1:])
	if got := first.read(); got.Code != wire.Success {
		t.Errorf("the first large frame: %+v", got)
	}
	if n := len(log.lines("frames still arriving")); n != 1 {
		t.Errorf("logged %d times", n)
	}
}

func TestIdleTimeouts(t *testing.T) {
	for name, tc := range map[string]struct {
		play  func(p *peer)
		after time.Duration
	}{
		"silent from the start": {func(p *peer) {}, 120 * time.Second},
		"after a request": {func(p *peer) {
			time.Sleep(50 * time.Second)
			p.send(frame(codeEcho, 1, ""))
			p.read()
		}, 170 * time.Second},
		"half a length": {func(p *peer) { p.send([]byte{0, 0}) }, 120 * time.Second},
		"half a frame, byte by byte": {func(p *peer) {
			time.Sleep(time.Second)
			for _, b := range frame(codeEcho, 1, "")[:20] {
				p.send([]byte{b})
				time.Sleep(5 * time.Second)
			}
		}, 121 * time.Second},
		"a push keeps it": {func(p *peer) {
			p.send(frame(codeHold, 1, "")) // one push after 100 s
			p.read()
		}, 220 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				mem := NewMemNetwork()
				s, addr := serve(t, mem, ServerConfig{Routes: table(map[int32]Route{
					codeEcho: {Handler: echo},
					codeHold: {Handler: func(r *Request) {
						c := r.Conn
						time.AfterFunc(100*time.Second, func() {
							if err := c.Push(&wire.Request{Code: codeOther}); err != nil {
								t.Errorf("Push: %v", err)
							}
						})
					}},
				})})
				start := time.Now()
				p := dial(t, mem, addr)
				p.SetReadDeadline(time.Time{})
				tc.play(p)
				p.wantClosed()
				if got := time.Since(start); got != tc.after {
					t.Errorf("closed after %v, want %v", got, tc.after)
				}
				synctest.Wait()
				if n := s.Stats().IdleClosed; n != 1 {
					t.Errorf("IdleClosed = %d", n)
				}
			})
		})
	}
}

func TestBufferGrowsAndShrinks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := NewMemNetwork()
		conns := make(chan *Conn, 1)
		s, addr := serve(t, mem, ServerConfig{
			OnOpen: func(c *Conn) { conns <- c },
			Routes: table(map[int32]Route{codeEcho: {Handler: echo}}),
		})
		p := dial(t, mem, addr)
		c := <-conns
		size := func() int { synctest.Wait(); return len(c.rd.buf) }
		if n := size(); n != minReadBuffer {
			t.Errorf("a new connection has %d bytes", n)
		}
		body := strings.Repeat("x", 1<<20)
		p.send(frame(codeEcho, 1, body))
		if got := p.read(); string(got.Body) != body {
			t.Error("the large body came back changed")
		}
		if n := size(); n < 1<<20 || n > 2<<20 {
			t.Errorf("after a frame of 1 MiB: %d bytes", n)
		}
		if n := s.Stats().ReadMemory; n != int64(len(c.rd.buf)-maxReadBuffer) {
			t.Errorf("ReadMemory = %d", n)
		}
		// small requests at a good rate must not keep the large buffer
		for range 30 {
			time.Sleep(100 * time.Millisecond)
			p.send(frame(codeEcho, 1, "small"))
			p.read()
		}
		if n := size(); n != minReadBuffer {
			t.Errorf("after 3 s of small requests: %d bytes", n)
		}
		if n := s.Stats().ReadMemory; n != 0 {
			t.Errorf("ReadMemory = %d", n)
		}
	})
}

// heap gives the bytes in use after a collection.
func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}

func TestIdleConnectionsCostLittle(t *testing.T) {
	const conns = 2000
	mem := NewMemNetwork()
	s, addr := serve(t, mem, ServerConfig{Routes: table(map[int32]Route{codeEcho: {Handler: echo}})})
	before := heap()
	peers := make([]*memConn, conns)
	for i := range peers {
		nc, err := mem.Dial(context.Background(), addr)
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		peers[i] = nc.(*memConn)
		p := &peer{t: t, Conn: nc}
		p.send(frame(codeEcho, 1, "x"))
		p.read()
		if i%100 == 0 {
			runtime.Gosched()
		}
	}
	each := (heap() - before) / conns
	t.Logf("%d bytes per idle connection, both ends and the pipe", each)
	if each > 24<<10 {
		t.Errorf("an idle connection costs %d bytes", each)
	}
	if n := s.Stats().Conns; n != conns {
		t.Errorf("%d connections are open", n)
	}
}

// FuzzStream sends arbitrary bytes in arbitrary pieces: the server must neither
// panic nor hang, and serve the next connection.
func FuzzStream(f *testing.F) {
	f.Add(frame(codeEcho, 1, "hello"), uint8(3))
	f.Add(append(frame(codeSlow, 1, "lane"), frame(codeHold, 2, "ticket")...), uint8(50))
	f.Add(lengths(16<<20, 10<<20), uint8(1))
	f.Add(wire.AppendRequest(nil, &wire.Request{Code: codeEcho, Encoding: wire.Binary, Body: []byte("b")}), uint8(0))
	f.Add(wire.AppendResponse(nil, wire.JSON, 3, &wire.Response{Remark: "answer to nobody"}), uint8(7))
	mem := NewMemNetwork()
	routes := table(map[int32]Route{
		codeEcho: {Handler: echo},
		codeHold: {Handler: func(r *Request) { r.Ticket().Reply(&wire.Response{}) }},
		codeSlow: {Handler: echo, Lane: NewLane("slow", 1, 4)},
	})
	s, addr := serve(f, mem, ServerConfig{Routes: routes})
	f.Fuzz(func(t *testing.T, data []byte, piece uint8) {
		p := dial(t, mem, addr)
		for rest := data; len(rest) > 0; {
			n := min(int(piece)+1, len(rest))
			if _, err := p.Write(rest[:n]); err != nil {
				break
			}
			rest = rest[n:]
		}
		p.Conn.(*memConn).CloseWrite()
		p.wantClosed()
		if n := s.Stats().Panics; n != 0 {
			t.Fatalf("%d panics", n)
		}
	})
}
