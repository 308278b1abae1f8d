// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package message

import (
	"bytes"
	"compress/zlib"
	"errors"
	"fmt"
	"io"
	"math"
)

var (
	// ErrCompression: a body's compression is unknown here, or its compressed
	// form is damaged.
	ErrCompression = errors.New("message: cannot decompress")
	// ErrTooLarge: a body has more bytes than the caller allowed.
	ErrTooLarge = errors.New("message: body too large")
)

// Inflate decompresses a body of CompressionZlib or CompressionOldZlib. It stops
// at limit bytes, or 2 GiB, with ErrTooLarge, so that a small message cannot take all
// memory; damaged input is ErrCompression.
func Inflate(body []byte, limit int) ([]byte, error) {
	most := int64(min(max(limit, 0), math.MaxInt32))
	z, err := zlib.NewReader(bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCompression, err)
	}
	var out bytes.Buffer
	n, err := io.Copy(&out, io.LimitReader(z, most+1))
	switch {
	case n > most:
		return nil, fmt.Errorf("%w: it inflates to more than %d bytes", ErrTooLarge, most)
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrCompression, err)
	}
	return out.Bytes(), nil
}

// Deflate compresses a body to CompressionZlib. level is one of compress/zlib's;
// RocketMQ's producers use 5.
func Deflate(body []byte, level int) ([]byte, error) {
	var out bytes.Buffer
	z, err := zlib.NewWriterLevel(&out, level)
	if err != nil {
		return nil, fmt.Errorf("message: deflate: %w", err)
	}
	if _, err := z.Write(body); err != nil {
		return nil, fmt.Errorf("message: deflate: %w", err)
	}
	if err := z.Close(); err != nil {
		return nil, fmt.Errorf("message: deflate: %w", err)
	}
	return out.Bytes(), nil
}

func unsupported(t CompressionType) error {
	return fmt.Errorf("%w: %s needs a codec from outside this package", ErrCompression, t)
}
