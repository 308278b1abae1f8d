// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

// Package pq is a priority queue whose elements know their places, so that any can be
// taken out or moved: a binary heap.
//
// It locks nothing, and allocates only to grow or shrink.
package pq
