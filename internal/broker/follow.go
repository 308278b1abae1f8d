// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"errors"
	"strconv"
	"strings"

	"github.com/twostage/twostage/internal/broker/txn"
	"github.com/twostage/twostage/internal/config"
)

// follow has the parts told of changes of the configuration that do not ask for it
// each time, and says what was chosen at the start.
func (b *Broker) follow() {
	b.live.Choose("listenPort", strconv.Itoa(int(b.advertised.Port())))
	b.live.Choose("brokerIP1", b.advertised.Addr().String())
	if b.cfg.Network.HAIP == "" {
		b.live.Choose("brokerIP2", b.advertised.Addr().String())
	}
	if names := b.live.BlackListUnknown(); len(names) > 0 {
		b.log.Warn("names in configBlackList are no keys of a broker, they forbid nothing", "names", strings.Join(names, ";"))
	}
	was := b.live.Now()
	b.live.OnChange(func(now *config.Broker) error {
		err := b.change(was, now)
		was = now
		return err
	})
}

// change brings the parts from one configuration to another.
func (b *Broker) change(was, now *config.Broker) (err error) {
	if b.cfg.Retention.Interval > 0 {
		err = b.store.SetRetention(retentionOf(&now.Retention))
	}
	err = errors.Join(err, b.store.SetMaxMessageSize(now.Store.MaxMessageSize))
	b.groups.SetAutoCreate(now.Groups.AutoCreate)
	// Also where nothing seems to change: the last try may have failed.
	err = errors.Join(err, b.topics.SetAutoCreate(now.Topics.AutoCreate, int32(now.Topics.DefaultQueues)))
	if was.Transactions != now.Transactions {
		c := now.Transactions
		b.txn.Change(txn.Rules{Timeout: c.Timeout, Checks: c.MaxChecks, Interval: c.CheckInterval, MaxAge: c.MaxAge, Rate: c.CheckRate})
	}
	if was.Identity.Permission != now.Identity.Permission {
		b.topics.Touch() // what name servers are told of them has changed
	}
	b.naming.publish()
	return err
}
