// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/twostage/twostage/message"
)

// FuzzDecompress: whatever a body is, it comes out whole, up to the limit, or the
// message stays as it is. Of Zstandard the decoder that reads a stream is the model.
func FuzzDecompress(f *testing.F) {
	const limit = 1 << 20
	text := []byte(strings.Repeat("a body that is compressed, ", 50))
	for kind := range compressions {
		c, err := newCompressor(kind, 0)
		if err != nil {
			f.Fatal(err)
		}
		body, flag, err := c.compress(text)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(int32(flag), body)
	}
	f.Add(int32(0x201), zstdFrame(27, text).Body)
	f.Fuzz(func(t *testing.T, flag int32, body []byte) {
		m := &message.Received{Message: message.Message{Body: bytes.Clone(body)}, SysFlag: message.SysFlag(flag)}
		kind, compressed := m.Compressed()
		err := Decompress(m, limit)
		switch {
		case err != nil && !errors.Is(err, message.ErrCompression) && !errors.Is(err, message.ErrTooLarge):
			t.Error(err)
		case (err != nil || !compressed) && (!bytes.Equal(m.Body, body) || m.SysFlag != message.SysFlag(flag)):
			t.Errorf("changed, %v", err)
		case err != nil || !compressed:
		case len(m.Body) > limit:
			t.Errorf("%d bytes came out", len(m.Body))
		}
		if !compressed || kind != message.CompressionZstd {
			return
		}
		z, failed := zstd.NewReader(bytes.NewReader(body), zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(zstdWindow))
		if failed != nil {
			t.Fatal(failed)
		}
		defer z.Close()
		want, failed := io.ReadAll(io.LimitReader(z, limit+1))
		if errors.Is(err, message.ErrTooLarge) {
			if failed == nil && len(want) <= limit { // less than any frame may say that it holds
				t.Errorf("too large, and the stream has %d bytes", len(want))
			}
			return
		}
		if len(body) > 0 && (err == nil) != (failed == nil) || err == nil && !bytes.Equal(m.Body, want) {
			t.Errorf("%d bytes came out, %v; the stream has %d, %v", len(m.Body), err, len(want), failed)
		}
	})
}
