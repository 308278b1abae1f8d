// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"

	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/header"
)

// pulledBuffer is how much is read at once, in bytes: many answers, and still not
// more than a core has near to it.
const pulledBuffer = 512 << 10

// pulled reads the answers to pulls. Bodies go by in a buffer that is used again
// and again: of a record nothing but its size is looked at.
type pulled struct {
	conn     net.Conn
	buf      []byte
	at, have int
	left     int // bytes of the body that have not gone by
	inBody   bool
	dec      wire.Decoder
	cmd      wire.Command

	// Of the answer that next told of:
	opaque, code int32
	response     bool
	header       header.PullResponse // where there is one
	remark       string              // of a refusal
	bytes        int
	records      recordWalk
}

func newPulled(conn net.Conn) *pulled { return &pulled{conn: conn, buf: make([]byte, pulledBuffer)} }

// fill reads once, more only until at least one byte has come.
func (p *pulled) fill() error {
	if p.at > 0 {
		p.have = copy(p.buf, p.buf[p.at:p.have]) // at most a part of a header
		p.at = 0
	}
	if p.have == len(p.buf) { // with a header of this size
		p.buf = append(p.buf, make([]byte, len(p.buf))...)
	}
	n, err := p.conn.Read(p.buf[p.have:])
	p.have += n
	if n > 0 {
		return nil
	}
	return err
}

// next takes what has arrived, up to the end of one frame; false when the frame
// is not whole yet.
func (p *pulled) next() (whole bool, err error) {
	if !p.inBody {
		if p.inBody, err = p.head(p.buf[p.at:p.have]); !p.inBody {
			return false, err
		}
	}
	n := min(p.left, p.have-p.at)
	body := p.buf[p.at : p.at+n]
	p.at += n
	p.left -= n
	if p.response && p.code == wire.Success {
		if err := p.records.feed(body); err != nil {
			return false, err
		}
	}
	if p.left > 0 {
		return false, nil
	}
	p.inBody = false
	return true, p.records.end()
}

// head takes a header, if it is whole.
func (p *pulled) head(b []byte) (bool, error) {
	if len(b) < 8 {
		return false, nil
	}
	size := int(int32(binary.BigEndian.Uint32(b)))
	n := int(binary.BigEndian.Uint32(b[4:]) & 0xFFFFFF)
	if size < 4 || size > wire.MaxFrame || n > min(size-4, wire.MaxHeader) {
		return false, fmt.Errorf("bench: the peer sent a frame of %d bytes with a header of %d", size, n)
	}
	if len(b) < 8+n {
		return false, nil
	}
	if err := p.dec.Decode(b[4:8+n], &p.cmd); err != nil {
		return false, fmt.Errorf("bench: %w", err)
	}
	p.at += 8 + n
	p.left, p.bytes = size-4-n, size-4-n
	p.opaque, p.code, p.response = p.cmd.Opaque, p.cmd.Code, p.cmd.IsResponse()
	p.records, p.remark = recordWalk{}, ""
	if !p.response {
		return true, nil
	}
	switch p.code {
	case wire.Success, wire.PullNotFound, wire.PullRetryImmediately, wire.PullOffsetMoved:
		if err := p.header.DecodeExt(p.cmd.Ext); err != nil {
			return false, fmt.Errorf("bench: %w", err)
		}
	default:
		p.remark = string(p.cmd.Remark)
	}
	return true, nil
}

// recordWalk counts the stored records in a body that comes in pieces.
type recordWalk struct {
	count int64
	left  int // bytes of the record that have not gone by
	size  [4]byte
	have  int // bytes of size, when left is 0
}

func (w *recordWalk) feed(b []byte) error {
	for len(b) > 0 {
		if w.left > 0 {
			n := min(w.left, len(b))
			w.left -= n
			b = b[n:]
			continue
		}
		n := copy(w.size[w.have:], b)
		w.have += n
		b = b[n:]
		if w.have < 4 {
			return nil
		}
		size := int(int32(binary.BigEndian.Uint32(w.size[:])))
		if size <= 4 {
			return fmt.Errorf("bench: a pull's answer holds a record of %d bytes", size)
		}
		w.left, w.have = size-4, 0
		w.count++
	}
	return nil
}

// end is the error of a body that ends within a record.
func (w *recordWalk) end() error {
	if w.left > 0 || w.have > 0 {
		return errors.New("bench: a pull's answer ends within a record")
	}
	return nil
}
