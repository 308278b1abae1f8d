// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

// Package client sends, transacts and consumes: a [Producer] for messages, a
// [TransactionProducer] for messages that become visible with a local
// transaction, a [PushConsumer] that gives the messages of a group to handlers, a
// [PullConsumer] that gives them when it is asked to, a [PopConsumer] that receives
// and acks them one by one, and a [Puller] that reads the queues of a topic by
// offset. It works with Twostage and with Apache RocketMQ 4.x and 5.x brokers (remoting
// protocol).
//
//	p, err := client.NewProducer("orders", client.WithNameServers("127.0.0.1:9876"))
//	...
//	defer p.Close()
//	sent, err := p.Send(ctx, message.New("orders", body))
//
// # What it does by itself
//
// Routes are looked up on first use, again after 30 s, and when a broker may have moved:
// it does not answer, refuses the topic, or stores nothing (then every 5 s at most). A
// call waits for that only while no route is known, or, before it tries again or where
// a topic has no queue to write to, for half a second: a route that is known does for as
// long as no name server gives another. A producer forgets it 5 minutes after it sent to
// the topic.
//
// Every 30 s a producer tells the brokers of its topics that it is there
// (heartbeat); a transactional one, which forgets none, also before its first half
// message on a connection, for the broker asks it over that connection for the
// outcome of transactions that it has heard nothing about.
//
// A connection on which a request is not answered in time ([WithTimeout]), and another
// one 3 s later neither, while nothing comes and the broker takes none of what waits for
// it, is closed, and the next request makes a new one. What else waits for answers on it
// fails then, before its own time is over, though the broker may carry it out: Send
// sends again, other calls return an error.
//
// A push consumer shares the queues of its topics with the other members of its
// group, anew every 20 s and whenever a broker says that the group has changed;
// stores how far it has come with every pull and every 5 s; and gives what a
// handler fails at back to the broker, which delivers it again later.
//
// A producer compresses large bodies ([WithCompression]), and for some seconds avoids
// brokers that were slow or failed, where there are others ([WithLatencyFault]).
//
// A pull consumer shares queues out in the same way, unless it is assigned some,
// and stores every 5 s what was given before the last Poll. A pop consumer asks the
// brokers every 20 s which queues are its own; by default it pops from all.
//
// With [WithSpans] a message carries the trace context of its send; the
// package links no tracing library.
//
// # Guarantees
//
//   - Send tries again, on another broker where there is one: a message whose
//     answer got lost may be stored twice, with one MessageID.
//   - A half message that may have reached a broker is never sent again. A half
//     message without an outcome is asked for by the broker.
//   - Nothing is sent to a queue other than the one given to SendTo, or than that of
//     the key given to SendOrdered.
//   - The callback of SendAsync is called once, before Close has returned if the
//     message was under way then. Callbacks of a producer do not overlap.
//   - A consumer's message comes at least once, but for what the broker has damaged:
//     a body that does not match its CRC is left out, with an error in the log, and
//     acked by a pop consumer. What is stored as consumed has no gap: a message that
//     is neither consumed nor given back holds it up.
//   - A queue is given up, its handlers ended and its offset stored, before its lock
//     is given back (orderly). Before that the member does not take it again, and for
//     6 s with the standard timeout none instead of it. Concurrent handlers that do not
//     end in 3 s are waited for no longer: their messages are delivered again.
//   - No goroutine is left after Close, but for handlers that do not end with their
//     ctx: the error of Close names them.
//
// New opens nothing and starts nothing; the first call does. All types may be
// used from many goroutines, and Close may be called more than once.
//
// # Locks
//
// Known routes are read without a lock. link.mu, TransactionProducer.mu and those of a
// producer's parts (nameServers, faults, requests, underWay) are held for bookkeeping
// only, no other lock is taken under them. PushConsumer.turn is the outermost lock of
// a push consumer, for one rebalance or reset at a time, and assigned.storing the
// next, for one commit of a queue at a time; PushConsumer.mu, assigned.mu, window.mu,
// dispatcher.mu and worker.mu are for bookkeeping, and of them only window.mu is taken
// under another (assigned.mu). shares.mu and link.mu may be taken under any. Handlers
// run under none. PullConsumer.turn is the outermost lock of a pull consumer, for one
// change of its queues at a time; PullConsumer.mu and PopConsumer.mu are for
// bookkeeping, and link.mu may be taken under them. While a tail calls its function,
// follower.mu is held.
//
// # What it refuses
//
// Messages that no broker would take (name, empty body, properties), delayed
// half messages, batches that no broker would take, and bodies that decompress beyond a
// limit.
package client
