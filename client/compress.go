// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"bytes"
	"compress/zlib"
	"fmt"
	"io"
	"sync"

	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"

	"github.com/twostage/twostage/message"
)

// compressLevel is that of RocketMQ's producers, for zlib.
const compressLevel = 5

// compressor compresses bodies in the forms that RocketMQ's consumers read: zlib,
// LZ4 frames with independent blocks, zstd frames. Several goroutines may use it
// at a time.
type compressor struct {
	kind    message.CompressionType
	above   int       // bytes; negative: never
	streams sync.Pool // *stream
	zstd    *zstd.Encoder
}

// stream is a writer that is used again.
type stream struct {
	out bytes.Buffer
	w   interface {
		io.WriteCloser
		Reset(io.Writer)
	}
}

func newCompressor(kind message.CompressionType, above int) (*compressor, error) {
	c := &compressor{kind: kind, above: above}
	var err error
	switch kind {
	case message.CompressionZlib:
		c.streams.New = func() any {
			w, err := zlib.NewWriterLevel(nil, compressLevel)
			if err != nil {
				panic(err) // compressLevel is not one of zlib's
			}
			return &stream{w: w}
		}
	case message.CompressionLZ4:
		c.streams.New = func() any {
			w := lz4.NewWriter(nil)
			// One goroutine, and blocks that do not take megabytes a message.
			if err := w.Apply(lz4.BlockSizeOption(lz4.Block64Kb), lz4.ConcurrencyOption(1)); err != nil {
				panic(err) // these are lz4's own
			}
			return &stream{w: w}
		}
	case message.CompressionZstd:
		c.zstd, err = zstd.NewWriter(nil, zstd.WithLowerEncoderMem(true)) // compresses GOMAXPROCS bodies at a time
	default:
		err = fmt.Errorf("client: %s is no compression that producers have: zlib, lz4 or zstd (WithCompression)", kind)
	}
	return c, err
}

// compress gives a body as it is sent, and its flags. A body that does not get
// smaller is sent as it is.
func (c *compressor) compress(body []byte) ([]byte, message.SysFlag, error) {
	if c.above < 0 || len(body) <= c.above {
		return body, 0, nil
	}
	var small []byte
	if c.zstd != nil {
		small = c.zstd.EncodeAll(body, nil)
	} else {
		s := c.streams.Get().(*stream)
		defer c.streams.Put(s)
		s.out.Reset()
		s.w.Reset(&s.out)
		if _, err := s.w.Write(body); err != nil {
			return nil, 0, fmt.Errorf("client: compressing with %s: %w", c.kind, err)
		}
		if err := s.w.Close(); err != nil {
			return nil, 0, fmt.Errorf("client: compressing with %s: %w", c.kind, err)
		}
		small = bytes.Clone(s.out.Bytes())
	}
	if len(small) >= len(body) {
		return body, 0, nil
	}
	return small, message.SysFlag(0).WithCompression(c.kind), nil
}
