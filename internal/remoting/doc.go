// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

// Package remoting carries the frames of package wire over connections: a
// server, a client, and what both need to serve requests that come in either
// direction. It knows codes only through the routes it is given.
//
// It owns sockets and goroutines, and nothing on disk.
//
// # A connection
//
//	socket -> read buffer -> frame -> wire.Decoder -> Routes(code)
//	             (reader goroutine)                   |          |
//	                                                inline      lane -> worker goroutine
//	                                                  |          |
//	socket <- one write <- batch of answers <- Reply / Ticket.Reply / Push(If) / Invoke / Exchange / Call
//
// A server that speaks TLS looks at the first byte of a connection: that of a
// handshake makes it a secured one, with package crypto/tls between the socket and
// the buffers. Nothing is written before that is known. Deadlines stay on the
// socket, below TLS, because a write that one ends in the middle of a record would
// break the stream; all records that have arrived are read together, so that
// batches are as large as without; bodies are copied into full records, and a page
// that can't be read costs the connection. Plaintext pays one comparison a read.
//
// One reader goroutine per connection handles the complete frames of a read in a
// row: requests of inline routes right there, those of lane routes as copies in
// a [Lane], which keeps their order if it is made to, with Route.Together all of a
// code that follow each other as one job. Their answers gather in a batch of pooled
// memory. When no complete
// frame is left it calls EndOfBatch and writes the batch with one write. A
// handler takes a [Ticket] to answer later, from any goroutine, also from
// EndOfBatch. An answer that comes while no reader is in a batch and nobody
// writes starts a writer goroutine, which ends when nothing is left to write.
//
// Answers may overtake each other: the opaque number ties them to requests. Those
// of inline routes given during the handler call keep the order of the requests.
//
// # Invariants
//
//   - A foreign goroutine (Reply, Push, Close, a ticket) never waits for a peer;
//     only Invoke, Exchange and CallWhenRoom do, as long as their context says.
//   - One goroutine at a time owns the write side of a socket.
//   - What PushIf queued is asked for when the socket has room for it, not before.
//   - A request is answered at most once, a one-way request never; release of
//     ReplyBody is called exactly once whatever becomes of the answer.
//   - Requests of inline routes and their answers allocate nothing here.
//   - No goroutine is left after Close, unless it says so with an error.
//   - An open connection without traffic costs a goroutine and a buffer of 4 KiB, a
//     secured one another buffer of 4 KiB and what crypto/tls holds.
//
// # Back-pressure
//
// What a peer makes us hold is bounded by [Limits], and it feels the bound:
//
//   - A server's reader writes the batch itself, so it does not read while the
//     peer does not. The reader of a client never waits to write: two ends that
//     both do would wait for ever. So a client must not be given more requests
//     by its server than it can answer within HardBacklog.
//   - Above MaxBacklog bytes pushes are refused, Invoke waits, a server stops
//     reading. Above HardBacklog, or with no progress for WriteTimeout, the
//     connection is closed and the reason logged.
//   - A client closes a connection on which nothing comes for 3 s between two requests
//     that are not answered in time: its peer may be gone without a word.
//   - With MaxInflight requests or MaxInflightBytes in lanes and tickets the
//     connection is not read until some are answered. A held request counts with
//     what its handler may keep: all of it when it came through a lane, otherwise its
//     header fields, and nothing with a LightTicket.
//   - What PushIf queued counts until its turn comes, valid or not, so that a
//     peer that does not read can't make its connection grow.
//   - Memory for a frame grows with the bytes that came, not with the length it
//     states; MaxReadMemory bounds large frames over all connections.
//
// # How long requests take
//
// A server measures every request from when it was read until its answer was written,
// by code and by the answer's code ([Server.Latencies]). The answers of a batch to
// requests of one read are counted together, when the batch was written: that costs
// two looks at the clock and a few additions for the batch. What takes longer than
// ServerConfig.Slow is logged, one a second, with what it waited for and with
// [Request.ID].
//
// # Locks
//
// Conn.mu is innermost: only header encoding (wire.Header) runs under it.
// Server.mu, Client.mu, Lane.mu, latencies.mu and endpoint.mu are held for bookkeeping only; no
// other lock is taken while one of them is held. The valid of PushIf runs with
// none of them, on the goroutine that writes, and may take locks of the caller's
// that are held around PushIf and other calls here.
//
// # What it refuses
//
// Frames outside 4..MaxFrame, unknown header encodings, headers above
// wire.MaxHeader and headers that do not decode: the connection is closed,
// counted, and logged once with the peer's address and the reason; so are
// connections that do not speak what the port does (ServerTLS), and handshakes that
// fail, take too long, or have no turn in time (MaxHandshakes).
package remoting
