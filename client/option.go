// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"time"
)

// kind is what an option can be given to.
type kind uint8

const (
	producers kind = 1 << iota
	transactionProducers
	pullers
	pushConsumers
	pullConsumers
	popConsumers

	anyProducer = producers | transactionProducers
	anyConsumer = pushConsumers | pullConsumers | popConsumers
	anyClient   = anyProducer | pullers | anyConsumer
)

func (k kind) String() string {
	switch k {
	case producers:
		return "producer"
	case transactionProducers:
		return "transaction producer"
	case pullers:
		return "puller"
	case pushConsumers:
		return "push consumer"
	case pullConsumers:
		return "pull consumer"
	case popConsumers:
		return "pop consumer"
	}
	return fmt.Sprintf("kind %d", uint8(k))
}

// Option configures a client when it is made. A constructor refuses, by its name,
// an option that its client has no use for. The zero Option does nothing.
type Option struct {
	name string
	of   kind
	set  func(*config)
}

// config is what options set, of clients of all kinds.
type config struct {
	common
	producer producerConfig
	puller   pullerConfig
	consumer consumerConfig
}

// configure gives the configuration of a client of one kind.
func configure(k kind, opts []Option) (*config, error) {
	c := &config{producer: newProducerConfig(), puller: newPullerConfig(), consumer: newConsumerConfig()}
	c.timeout, c.lookUp = standardTimeout, net.DefaultResolver.LookupHost
	for _, o := range opts {
		if o.set == nil {
			continue
		}
		if o.of&k == 0 {
			return nil, fmt.Errorf("client: option %s means nothing to a %s", o.name, k)
		}
		o.set(c)
	}
	for _, err := range []error{c.common.complete(), c.producer.check(), c.puller.check(), c.consumer.check()} {
		if err != nil {
			return nil, err
		}
	}
	return c, nil
}

// WithNameServers gives the name servers, host:port, which are tried in turn.
// Default: those of the environment variable NAMESRV_ADDR, separated by semicolons.
func WithNameServers(addrs ...string) Option {
	addrs = slices.Clone(addrs)
	return Option{"WithNameServers", anyClient, func(c *config) { c.nameServers = addrs }}
}

// WithNameServerDNS gives the name servers as a name, host:port, that has all of
// their addresses. It is looked up again every 30 s when it is used, and when none
// of them answers. With TLS each of them must have a certificate for that name.
func WithNameServerDNS(hostPort string) Option {
	return Option{"WithNameServerDNS", anyClient, func(c *config) { c.nameDNS = hostPort }}
}

// WithInstance tells this client from all others of this machine's address, in its
// client id: brokers take clients of one id for one. Default: the process id and a
// random number.
func WithInstance(name string) Option {
	return Option{"WithInstance", anyClient, func(c *config) { c.instance = name }}
}

// WithTimeout bounds one request. Default 3 s. The ctx of a call bounds the call.
func WithTimeout(d time.Duration) Option {
	return Option{"WithTimeout", anyClient, func(c *config) { c.timeout = d }}
}

// WithDialer connects to host:port. Default: TCP.
func WithDialer(dial func(ctx context.Context, addr string) (net.Conn, error)) Option {
	return Option{"WithDialer", anyClient, func(c *config) { c.dial = dial }}
}

// WithTLS secures connections to name servers and brokers. Where t has no
// ServerName, certificates must be for the host of the address that is connected
// to. t must not be changed any more; nil is plaintext.
func WithTLS(t *tls.Config) Option {
	return Option{"WithTLS", anyClient, func(c *config) { c.tls = t }}
}

// WithCredentials signs every request; zero ones do not.
func WithCredentials(k Credentials) Option {
	return Option{"WithCredentials", anyClient, func(c *config) { c.credentials = k }}
}

// WithLogger gets what no call can return. Default: nothing is logged.
func WithLogger(l *slog.Logger) Option {
	return Option{"WithLogger", anyClient, func(c *config) { c.log = l }}
}
