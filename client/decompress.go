// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"

	"github.com/twostage/twostage/message"
)

// MaxBody is how large a body may get by decompression where this package
// decompresses by itself, in bytes.
const MaxBody = 64 << 20

// Bounds for bodies of Zstandard.
const (
	zstdWindow  = 128 << 20 // bytes that it may refer back; the decoders of RocketMQ's clients take no more
	zstdBlock   = 128 << 10 // bytes that a block gives at most
	zstdTrusted = 8 << 20   // bytes that a frame of any body may say that it holds,
	zstdPerByte = 64        // or so many for each byte of the body
)

// Decompress replaces a compressed body, of zlib, LZ4 or Zstandard, by what it
// holds, at most limit bytes and never 2 GiB, and clears the compression bits of
// SysFlag. A body that is not compressed stays. Memory is taken for what the body really
// gives: when a frame of Zstandard says how much it holds, 8 MiB or 64 times the size of
// the body are believed, and as much again as the frames before it gave; one that says
// more is too large. Errors match message.ErrCompression or message.ErrTooLarge; the
// message is then unchanged.
func Decompress(m *message.Received, limit int) error {
	kind, ok := m.Compressed()
	if !ok {
		return nil
	}
	limit = min(max(limit, 0), math.MaxInt32-zstdBlock) // so that no sum wraps
	if len(m.Body) == 0 {
		return fmt.Errorf("%w: %s: no bytes", message.ErrCompression, kind)
	}
	var body []byte
	var err error
	switch kind {
	case message.CompressionLZ4:
		in := lz4.NewReader(bytes.NewReader(m.Body))
		body, err = io.ReadAll(io.LimitReader(in, int64(limit)+1))
	case message.CompressionZstd:
		body, err = unzstd(m.Body, limit)
	default:
		return m.Inflate(limit)
	}
	switch {
	case len(body) > limit || errors.Is(err, zstd.ErrWindowSizeExceeded) || errors.Is(err, zstd.ErrDecoderSizeExceeded):
		return fmt.Errorf("%w: it decompresses to more than %d bytes, or wants too much memory for it", message.ErrTooLarge, limit)
	case err != nil:
		return fmt.Errorf("%w: %s: %w", message.ErrCompression, kind, err)
	}
	m.Body, m.SysFlag = body, m.SysFlag.WithoutCompression()
	return nil
}

// unzstd gives what a body of Zstandard holds; more than limit bytes: it holds more. The
// decoder takes memory at once for as much as the body says that it holds, or refers
// back to. So it is given room, and begins again with more when that was filled, or
// when what the body says can be believed.
func unzstd(body []byte, limit int) ([]byte, error) {
	z, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecodeAllCapLimit(true), zstd.WithDecoderMaxWindow(zstdWindow))
	if err != nil {
		return nil, err
	}
	defer z.Close()
	most := limit + zstdBlock // so that what holds more gives more than limit
	trusted := max(zstdTrusted, zstdPerByte*len(body))
	for room := min(8*len(body), most); ; {
		out, err := z.DecodeAll(body, make([]byte, 0, room))
		switch {
		case err == nil || len(out) > limit || room == most:
		case room-len(out) < zstdBlock: // the next block had no room: the error may be any
			room = min(4*room, most)
			continue
		case errors.Is(err, zstd.ErrDecoderSizeExceeded):
			if believed := min(2*len(out)+trusted, most); room < believed {
				room = min(4*room, believed)
				continue
			}
		}
		if cap(out) > 2*len(out) {
			out = bytes.Clone(out) // it may be kept for long
		}
		return out, err
	}
}
