// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

// Package skew keeps times of delivery apart from what is done to the wall clock.
//
// A Clock is a time that nothing sets: it goes on with the process. A History says
// for the entries of a queue by how much another clock, the wall clock or that of
// the store, was ahead of it when they were stored:
//
//	due, by the Clock = time of delivery, by the other - ahead
//
// # What it refuses
//
// It reads no clock itself and does nothing on its own. Nothing is locked: who
// shares a History holds a lock.
package skew
