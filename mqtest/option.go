// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package mqtest

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
)

// MaxBrokers is how many brokers a cluster can have.
const MaxBrokers = 26

// An Option is something about a cluster that is not as usual.
type Option func(*options) error

type options struct {
	brokers int
	keys    map[string]string
	log     *slog.Logger
}

func newOptions(opts []Option) (*options, error) {
	o := &options{brokers: 1, keys: map[string]string{
		"mappedFileSizeCommitLog":    "8388608",
		"mappedFileSizeConsumeQueue": "80000",
		"mappedFileSizeTimerLog":     "1048576",
		"maxHashSlotNum":             "10000",
		"maxIndexNum":                "40000",
		"transactionTimeOut":         "500",
		"transactionCheckInterval":   "500",
		"transactionCheckMax":        "100",
	}}
	var errs []error
	for _, opt := range opts {
		errs = append(errs, opt(o))
	}
	return o, errors.Join(errs...)
}

// Brokers is how many brokers there are: broker-a, broker-b and so on, at most
// MaxBrokers. Without it there is one. A topic that is created by its first message
// is on all of them.
func Brokers(n int) Option {
	return func(o *options) error {
		if n < 1 || n > MaxBrokers {
			return fmt.Errorf("mqtest: Brokers(%d): at least 1, at most %d", n, MaxBrokers)
		}
		o.brokers = n
		return nil
	}
}

// own are the keys that mqtest sets, or that mean nothing in it; those with a dot
// at the end stand for all that begin so.
var own = []string{
	"listenPort", "bindAddress", "brokerIP1", "brokerName", "namesrvAddr", "storePathRootDir", "storePathCommitLog",
	"httpListenPort", "httpBindAddress", "tls.", "useTLS", "otlpTracesEndpoint", "metricsExporterType",
}

// Set gives a key of the brokers' configuration (docs/configuration.md) a value:
// Set("flushDiskType", "SYNC_FLUSH"). A key that does not exist, or that is not for
// the test to choose (addresses, names, paths, TLS), is an error.
func Set(key, value string) Option {
	return func(o *options) error {
		if slices.ContainsFunc(own, func(k string) bool { return k == key || strings.HasSuffix(k, ".") && strings.HasPrefix(key, k) }) {
			return fmt.Errorf("mqtest: Set(%q): a cluster in a test chooses that itself or has no such thing; run twostage server for it", key)
		}
		o.keys[key] = value
		return nil
	}
}

// Logger gets what the servers log. Without it Start logs warnings and errors to the
// test, but for those of a broker that a test makes crash, and New logs nothing.
func Logger(l *slog.Logger) Option {
	return func(o *options) error {
		if l == nil {
			return errors.New("mqtest: Logger(nil): leave the option out, or give slog.New(slog.DiscardHandler)")
		}
		o.log = l
		return nil
	}
}
