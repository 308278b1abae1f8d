// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

// Package mqtest runs a name server and brokers inside a test: the real ones, with
// real connections and their data in memory. It needs nothing of Linux.
//
//	func TestOrders(t *testing.T) {
//		cluster := mqtest.Start(t)
//		p, err := client.NewProducer("orders", client.WithNameServers(cluster.NameServer()))
//		...
//	}
//
// Start takes a few milliseconds, so each test has a cluster of its own; any number
// run side by side. There are no files, no fixed ports and nothing to clean up: the
// cluster ends with the test, whose clients must be closed first (a defer, or a
// t.Cleanup after Start, is).
//
// # What can go wrong on purpose
//
//	Broker(0).Stop(), Start()   a restart: everything is there again
//	Broker(0).Kill()            the process dies: what was written is there again
//	Broker(0).Crash()           the power goes: only what was synced is there again
//	Broker(0).Partition()       nothing gets through until Heal
//	Broker(0).Slow(d)           what clients send arrives d later
//	DropCheckBacks(n)           the next n check-backs get lost
//	RepeatCheckBacks(n)         each check-back comes n times more
//
// A broker keeps its address whatever happens. While it is stopped, connections to
// it are reset.
//
// # Between a client and a broker
//
//	client <-- TCP on 127.0.0.1 --> port -> link: hold, delay, drop, repeat <-- memory --> broker
//
// The brokers know nothing of this: each gets a listener whose connections come
// from the port, which keeps its TCP listener for as long as the cluster lives. A
// link looks at what the broker sends frame by frame. A broker's own connection to
// the name server has no link.
//
// # Configuration
//
// Brokers have the defaults of docs/configuration.md, but for sizes of files, which
// are small, and for check-backs, which come every half second. Set changes any key
// that is not about where a broker is and what it is called.
//
// # Locks
//
// Broker.mu is held while the broker starts or ends; port.mu, then link.mu, faults.mu and
// checkBacks.mu are taken last and held for bookkeeping only.
//
// # What it refuses
//
// TLS, the HTTP listeners and traces, which belong to the process of a broker and not
// to the broker; keys that it sets itself; anything on disk.
package mqtest
