// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

// Package config turns RocketMQ configuration files, environment variables and flags into the small typed structs
// that each component of Twostage owns.
//
// # Keys
//
// The broker file knows the keys of RocketMQ's BrokerConfig, MessageStoreConfig, NettyServerConfig, NettyClientConfig
// and AuthConfig, the name server file those of NamesrvConfig, the two Netty classes and ControllerConfig. The table
// is the union of 4.9.8 and 5.x, and of keys that 5.0 to 5.3 had for a while; where defaults differ, 5.x wins
// (registerBrokerTimeoutMills 24000, transactionCheckInterval 30000). A key is what RocketMQ has a setter for. Twostage's own
// keys are httpListenPort, httpBindAddress, tls.client.serverName and limits that RocketMQ does not have.
//
// Every key has one class, decided key by key in keys_*.go:
//
//	Used     Twostage acts on it. The value is checked and appears in Broker or Namesrv.
//	Ignored  it tunes threads, Netty, memory mapping or another mechanism of the Java implementation that Twostage
//	         does not have. Accepted; Values.Ignored lists those that were set, for one log line.
//	Pending  it tunes a part that is not there yet. Accepted; Values.Pending groups those that were set by part, with
//	         what that means for the operator, for one warning line a part.
//	Refused  any value but the listed one asks for a protection, a copy of the data or a behaviour that does not
//	         exist. Such a value is an error with its reason.
//
// The rule that tells Pending from Refused: would somebody who reads the file believe in something that is not so? A
// cache size of access control is Pending, the switch of access control, its users and its whitelist are Refused.
// enableCompaction is true by default in RocketMQ 5; unset is fine here, an explicit true is refused.
//
// # Sources
//
// Defaults < file < environment < flags < changes at run time (Live). In one source a key may be set once; the same key (or its other spelling)
// with two values is an error, also in a file, where Java would take the last one in silence. The variable of a key
// is TWOSTAGE_ and the key in upper case, underscores anywhere (TWOSTAGE_LISTENPORT, TWOSTAGE_LISTEN_PORT, and
// TWOSTAGE_TLS_SERVER_MODE for tls.server.mode). An empty variable counts as not set. Keys of the name server take TWOSTAGE_NAMESRV_
// (TWOSTAGE_NAMESRV_LISTENPORT), which may be left out when the key is not the broker's too or the process has no
// broker. Variables that Kubernetes and Docker links make of a service's name (TWOSTAGE_SERVICE_HOST,
// TWOSTAGE_PORT_10911_TCP, ...) are skipped; any other unknown TWOSTAGE_ variable is an error.
//
// # Values
//
// Numbers are decimal without unit, as in RocketMQ: milliseconds for most times, seconds or hours where the name says
// so, bytes for sizes. Booleans are true or false in any case. An empty text value counts as not set; an empty number
// or boolean is an error (Java keeps the default and says nothing).
//
// # Refusals
//
// This package opens no port and resolves no name; ReadFile, which Load calls for tls.config.file, and WriteFile for
// Live are its only contact with the disk. It does not know the command line: the caller passes flags as key and value.
// All errors are found in one go, each
// names the key, the place and what is accepted. Nothing here is safe to change while others read it; a *Config is
// made once and then only read.
//
// # While a server runs
//
// Live holds the configuration of a running server as one immutable value. A change goes through Load again, with all
// that was changed before above the other sources; so what is refused at a start is refused then, and who holds the old
// value never sees half of a change. What may change is the list in keys_live.go, less configBlackList; paths, names,
// addresses and commands are never in it (CVE-2023-33246, CVE-2023-37582 of RocketMQ). The change is in the file, synced,
// before it is published.
package config
