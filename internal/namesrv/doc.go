// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

// Package namesrv is the name server: brokers register with it, and clients ask
// it which brokers have a topic.
//
// # What it owns
//
// On the wire the requests of [Server.Open]'s listener: 100 to 106, 205, 206, 216,
// 217, 219, 224, 304, 311 to 313, 318, 319, 322, 327, 901 and 904. Any other is
// answered 3 (REQUEST_CODE_NOT_SUPPORTED) with its name. On disk kvConfigPath, in the form
// that RocketMQ 4.9.8 gives it, and its .bak:
//
//	{"configTable":{"NAMESPACE":{"KEY":"VALUE"}}}
//
// and beside it namesrv.lock, locked from [Server.Open] to [Server.Close].
// A change of the configuration is answered after it has been synced; that of the
// server's own keys (318) goes into its configuration file (config.Live). Routes are
// in memory alone: brokers bring them back within their registration interval.
//
// # Structure
//
//   - snapshot: brokers and topics at one moment, immutable. Requests are
//     answered from the newest one, which an atomic pointer holds: no reader ever
//     waits for a registration.
//   - table: who is registered over which connection, and the rules by which that
//     changes. It has no clock, lock, socket or file; every change makes a new
//     snapshot that shares what did not change.
//   - kvStore: the KV configuration, with an immutable copy for readers too.
//   - Server: connections, clock, locks and files around them.
//
// Server.mu guards the table, kvStore.mu the file; neither is taken while the
// other is held. Several name servers know nothing of each other.
//
// # Rules
//
//   - A broker is gone when the connection that it registered over ends, and when
//     it has been silent for 120 s of the monotonic clock (or for the time its
//     registration asks for): from the next answer on.
//   - A registration adds topics and changes them, it does not take any away: a
//     broker sends its whole table or what changed. It counts when its data version
//     differs from the last one, or when it is the first. So what
//     DELETE_TOPIC_IN_NAMESRV and WIPE_WRITE_PERM_OF_BROKER did lasts until the
//     broker's topics change, as in RocketMQ.
//   - Topics come from masters (broker id 0). They stay while a slave is left.
//   - A broker name belongs to one cluster.
//
// # Refusals
//
// A broker whose name and id are registered from another address over a connection
// that is alive, or whose address is registered under another name, is refused and
// logged as an error: two brokers with one identity would share messages out
// between them at random. So is a name that is alive in another cluster. The same
// name at the same address is a restart and replaces what was there at once. Wrong
// checksums, bodies that cannot be read, empty names and malformed addresses are
// refused with what is wrong. A second name server on one directory does not open.
package namesrv
