// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

// Package sdk holds no code, only tests: package client against a real server, in
// the scenarios that test/interop plays with the official client, and the Go code
// of docs/ and examples/.
//
// Cases run side by side on one server, each with topics and groups of its own;
// those that stop the server, or want it otherwise, have one to themselves. The
// binary is that of the environment variable TWOSTAGE_BIN.
//
// With SDK_NAMESRV=host:port the cases run against whatever that name server leads
// to, Apache RocketMQ for instance; those that need a server of their own are left
// out, and say so. What the other does not have is left out by hand:
//
//	SDK_NAMESRV=127.0.0.1:9876 go test -count=1 -run TestClient -skip 'TestClient/(Pop|Timed|RewindStopped)' ./test/sdk
//
// is for RocketMQ 4.9. With its delay levels and times of checks it takes three
// minutes.
package sdk
