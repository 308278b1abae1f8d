// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package client

import "fmt"

// producerConfig is what options say of producers.
type producerConfig struct {
	attempts      int
	compressAbove int // bytes
	spans         Spans
	checkWorkers  int
}

func newProducerConfig() producerConfig {
	return producerConfig{attempts: 3, compressAbove: 4096, checkWorkers: 4}
}

func (c *producerConfig) check() error {
	switch {
	case c.attempts < 1:
		return fmt.Errorf("client: %d attempts, at least 1", c.attempts)
	case c.checkWorkers < 1:
		return fmt.Errorf("client: %d check workers, at least 1", c.checkWorkers)
	}
	return nil
}

// WithAttempts says how often Send tries. Default 3.
func WithAttempts(n int) Option {
	return Option{"WithAttempts", anyProducer, func(c *config) { c.producer.attempts = n }}
}

// WithCompression compresses bodies above so many bytes with zlib. Default 4096;
// negative: never.
func WithCompression(above int) Option {
	return Option{"WithCompression", anyProducer, func(c *config) { c.producer.compressAbove = above }}
}

// WithSpans makes a span of each send; see [Spans].
func WithSpans(s Spans) Option {
	return Option{"WithSpans", anyProducer, func(c *config) { c.producer.spans = s }}
}

// WithCheckWorkers says how many check-backs run at a time. Default 4.
func WithCheckWorkers(n int) Option {
	return Option{"WithCheckWorkers", transactionProducers, func(c *config) { c.producer.checkWorkers = n }}
}
