// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

// Package admin looks after a cluster, by noun: brokers, configurations, topics,
// groups, offsets, messages, dead letters, clients and transactions. It talks to name
// servers and brokers through package rpc, of Twostage or of Apache RocketMQ, and
// prints nothing.
//
// Questions go to one name server after the other until one answers. Changes go
// to every broker that they concern, and, where name servers keep something, to
// every name server; an error names those where it failed, and the others are
// done all the same.
//
// An Admin keeps no state but its configuration, owns no connection, starts no
// goroutine that outlives the call, and may be used from many goroutines.
//
// It refuses to guess: a cluster must be named when there are several, and a
// broker when several have a transaction of an id. What it decides for a
// transaction goes to the broker of that name only, whoever else may listen at
// its address.
package admin
