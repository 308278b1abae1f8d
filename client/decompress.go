// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"

	"github.com/twostage/twostage/message"
)

// MaxBody is how large a body may get by decompression where this package
// decompresses by itself, in bytes.
const MaxBody = 64 << 20

// A decoder of Zstandard takes memory for as much of what it gave as a body may
// refer back to, which the first bytes of the body say: the window. RFC 8878, 3.1.1.1.2
// has decoders take 8 MiB; larger ones are for bodies that are large themselves.
const (
	zstdWindow  = 8 << 20 // bytes
	zstdPerByte = 64      // bytes of window for each byte of a body
)

// Decompress replaces a compressed body, of zlib, LZ4 or Zstandard, by what it
// holds, at most limit bytes, and clears the compression bits of SysFlag. A body
// that is not compressed stays. Errors match message.ErrCompression or
// message.ErrTooLarge, also for a Zstandard body that wants a window of more than
// 8 MiB and of 64 times its size; the message is then unchanged.
func Decompress(m *message.Received, limit int) error {
	kind, ok := m.Compressed()
	if !ok {
		return nil
	}
	if len(m.Body) == 0 {
		return fmt.Errorf("%w: %s: no bytes", message.ErrCompression, kind)
	}
	var in io.Reader
	switch kind {
	case message.CompressionLZ4:
		in = lz4.NewReader(bytes.NewReader(m.Body))
	case message.CompressionZstd:
		window := min(limit, max(zstdWindow, zstdPerByte*len(m.Body)))
		z, err := zstd.NewReader(bytes.NewReader(m.Body), zstd.WithDecoderConcurrency(1),
			zstd.WithDecoderMaxWindow(uint64(max(window, zstd.MinWindowSize))))
		if err != nil {
			return fmt.Errorf("%w: %s: %w", message.ErrCompression, kind, err)
		}
		defer z.Close()
		in = z
	default:
		return m.Inflate(limit)
	}
	body, err := io.ReadAll(io.LimitReader(in, int64(max(limit, 0))+1))
	switch {
	case len(body) > max(limit, 0) || errors.Is(err, zstd.ErrWindowSizeExceeded) || errors.Is(err, zstd.ErrDecoderSizeExceeded):
		return fmt.Errorf("%w: it decompresses to more than %d bytes, or wants too much memory for it", message.ErrTooLarge, limit)
	case err != nil:
		return fmt.Errorf("%w: %s: %w", message.ErrCompression, kind, err)
	}
	m.Body, m.SysFlag = body, m.SysFlag.WithoutCompression()
	return nil
}
