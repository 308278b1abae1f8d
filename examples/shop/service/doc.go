// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

// Package service is the frame that the services of the shop have in common: a
// database of their own with their tables, HTTP in front, and the four ways in
// which they talk and listen.
//
//	Transact  an HTTP request changes the database and tells the others, or neither: [sqltx.Run]
//	On        a message changes the database once, however often it comes: [sqltx.Once]
//	Send      what a consumer tells the others, in the transaction of its work: [sqltx.Outbox]
//	OnEvery   a message for each instance, not for one of them: a broadcast consumer
//
// A process that is killed anywhere in them has done all of it or nothing, once it
// or another instance is back. There is nothing else in the services for that.
package service
