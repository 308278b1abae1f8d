// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

// Command shop is a shop of six services, each with a database of its own, that
// agree by messages: it starts them and a broker as processes of this binary,
// drives buyers against them, and prints the books.
//
//	go run ./examples/shop
//	go run ./examples/shop --chaos --duration 5m
//	go run ./examples/shop --db mysql://root:secret@127.0.0.1:3306/
//
// The exit code is 1 when the books do not balance. README.md walks through it.
//
// The services are in the directories orders, stock, coupons, accounts, payments
// and notifications; event is what they say to each other, service how they do it.
// This package is only what is around them: processes, chaos, buyers, books.
package main
