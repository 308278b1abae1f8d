// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"fmt"

	"github.com/twostage/twostage/message"
)

// producerConfig is what options say of producers.
type producerConfig struct {
	attempts       int
	compression    message.CompressionType
	compressAbove  int // bytes
	maxMessageSize int // bytes
	latencyFault   bool
	spans          Spans
	checkWorkers   int
}

func newProducerConfig() producerConfig {
	return producerConfig{
		attempts: 3, compression: message.CompressionZlib, compressAbove: 4096, maxMessageSize: 4 << 20, latencyFault: true, checkWorkers: 4,
	}
}

func (c *producerConfig) check() error {
	switch {
	case c.attempts < 1:
		return fmt.Errorf("client: %d attempts, at least 1", c.attempts)
	case c.maxMessageSize < 1 || c.maxMessageSize > MaxBody:
		return fmt.Errorf("client: messages of at most %d bytes; WithMaxMessageSize takes 1 to %d", c.maxMessageSize, MaxBody)
	case c.checkWorkers < 1:
		return fmt.Errorf("client: %d check workers, at least 1", c.checkWorkers)
	}
	return nil
}

// WithAttempts says how often Send tries. Default 3.
func WithAttempts(n int) Option {
	return Option{"WithAttempts", anyProducer, func(c *config) { c.producer.attempts = n }}
}

// WithCompression compresses bodies of more than above bytes: with
// message.CompressionZlib, CompressionLZ4 or CompressionZstd. All consumers read
// zlib; Java's read the others since 4.9.4, the official Go client does not. A body
// that does not get smaller is sent as it is. Default: zlib, 4096; a negative above
// is never.
func WithCompression(kind message.CompressionType, above int) Option {
	return Option{"WithCompression", anyProducer, func(c *config) { c.producer.compression, c.producer.compressAbove = kind, above }}
}

// WithMaxMessageSize says how many bytes a body may have, before it is compressed,
// and a batch in all: 4 MiB by default, at most MaxBody. Brokers have a bound of
// their own (maxMessageSize), and no request may have more than 16 MiB: what is
// larger as it goes out fails with message.ErrTooLarge too.
func WithMaxMessageSize(bytes int) Option {
	return Option{"WithMaxMessageSize", anyProducer, func(c *config) { c.producer.maxMessageSize = bytes }}
}

// WithLatencyFault says whether brokers that were slow or failed are avoided for a
// while, of 2 to 30 s, where there are others. Default: they are.
func WithLatencyFault(on bool) Option {
	return Option{"WithLatencyFault", anyProducer, func(c *config) { c.producer.latencyFault = on }}
}

// WithSpans makes a span of each send; see [Spans].
func WithSpans(s Spans) Option {
	return Option{"WithSpans", anyProducer, func(c *config) { c.producer.spans = s }}
}

// WithCheckWorkers says how many check-backs run at a time. Default 4.
func WithCheckWorkers(n int) Option {
	return Option{"WithCheckWorkers", transactionProducers, func(c *config) { c.producer.checkWorkers = n }}
}
