// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

// Package rpc has one function for each request that Twostage itself sends to
// name servers and brokers: it writes the typed header and body, waits for the
// answer and reads it.
//
// Every function takes a [Caller], which *remoting.Client is, and the address as
// host:port. The caller's ctx bounds the wait: without a deadline it lasts as
// long as the connection. The functions may be called from any goroutine; what
// they return belongs to the caller.
//
// # Errors
//
// An answer whose code is none that the request succeeds with comes back as an
// *[Error]. It matches the [Code] of the answer:
//
//	errors.Is(err, rpc.TopicNotExist)
//
// An answer that cannot be read, because a header field or the body is not what
// it must be, is an error that names the request, the peer and the field. What
// *remoting.Client returns (closed, cannot connect, ctx) passes through wrapped.
// Nothing is sent twice: whether to try again or elsewhere is up to the caller.
//
// The package keeps no state, starts no goroutine and refuses nothing of its own:
// sizes are the connection's business, names the server's.
package rpc
