// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"sync"

	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/header"
)

// Floor is a bare server: one goroutine a connection, one read and one write for
// whatever has arrived, no allocation. It answers each frame as if a send had
// been stored, and does nothing else. A pull gets as many records as it asks for,
// of as many bytes together, out of one buffer.
type Floor struct {
	ln    net.Listener
	wg    sync.WaitGroup
	mu    sync.Mutex
	conns map[net.Conn]struct{}
	done  bool
}

// ListenFloor opens a Floor on addr; port 0 picks one.
func ListenFloor(addr string) (*Floor, error) {
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, err
	}
	return &Floor{ln: ln, conns: map[net.Conn]struct{}{}}, nil
}

// Addr is where it listens.
func (f *Floor) Addr() string { return f.ln.Addr().String() }

// Serve serves until Close; then it waits for its connections and returns nil.
func (f *Floor) Serve() error {
	for {
		c, err := f.ln.Accept()
		if err != nil {
			f.wg.Wait()
			if errors.Is(err, net.ErrClosed) {
				return nil
			}
			return err
		}
		f.mu.Lock()
		if f.done {
			f.mu.Unlock()
			_ = c.Close()
			continue
		}
		f.conns[c] = struct{}{}
		f.mu.Unlock()
		f.wg.Go(func() {
			_ = floorConn(c)
			_ = c.Close()
			f.mu.Lock()
			delete(f.conns, c)
			f.mu.Unlock()
		})
	}
}

// Close ends Serve.
func (f *Floor) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.done = true
	for c := range f.conns {
		_ = c.Close()
	}
	return f.ln.Close()
}

// floorConn answers every frame of one connection.
func floorConn(c net.Conn) error {
	in := newFrames(c)
	out := make([]byte, 0, 256<<10)
	var pulls floorPulls
	answers := [2][]byte{floorAnswer(wire.JSON), floorAnswer(wire.Binary)}
	for {
		if err := in.fill(); err != nil {
			return err
		}
		out = out[:0]
		for {
			frame, err := in.next()
			if err != nil {
				return err
			}
			if frame == nil {
				break
			}
			opaque, ok := opaqueOf(frame)
			if !ok {
				return io.ErrUnexpectedEOF
			}
			if isPull(frame) {
				if err := pulls.add(frame, opaque); err != nil {
					return err
				}
				continue
			}
			out = appendFloorAnswer(out, answers[frame[4]&1], opaque)
		}
		if len(out) > 0 {
			if _, err := c.Write(out); err != nil {
				return err
			}
		}
		if err := pulls.flush(c); err != nil {
			return err
		}
	}
}

// floorAnswer is the answer to a send with the opaque firstOpaque.
func floorAnswer(enc wire.Encoding) []byte {
	return wire.AppendResponse(nil, enc, firstOpaque, &wire.Response{Header: &header.SendResponse{
		MsgID: []byte("7F00000100002A9F0000000000000000"), Region: []byte("DefaultRegion"), TraceOn: true,
	}})
}

// appendFloorAnswer appends the answer with the given opaque, which must have
// ten digits where the header is JSON.
func appendFloorAnswer(dst, answer []byte, opaque int32) []byte {
	at := len(dst)
	dst = append(dst, answer...)
	frame := dst[at:]
	if wire.Encoding(frame[4]) == wire.Binary {
		binary.BigEndian.PutUint32(frame[8+5:], uint32(opaque))
		return dst
	}
	i := opaqueAt(frame)
	for j := 9; j >= 0; j-- {
		frame[i+j] = byte('0' + opaque%10)
		opaque /= 10
	}
	return dst
}

// opaqueAt is where the ten digits of the opaque begin in a JSON answer: they
// stand before a tail of fixed length.
func opaqueAt(frame []byte) int {
	const tail = `,"serializeTypeCurrentRPC":"JSON","version":473}`
	return len(frame) - len(tail) - 10
}
