// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

// Package broker wires one broker: the store, the concepts above it, the
// handlers, the two listeners and the name servers.
//
// There is one table (routes.go): request code to handler to lane. Requests that
// only touch memory and the page cache run on the reader of their connection;
// what may wait for the disk, or takes long, has a lane, so that it delays its
// own family only. The exception is a topic or group that a send or a pull makes:
// its file is written on that connection's reader, once.
//
// Parts stop in the reverse order of their start: first the broker leaves the
// name servers, then held pulls are let go, then the listeners drain, then the
// concepts note where they are, and the store is closed last.
package broker
