// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

// Package promtext writes metrics in Prometheus's text format, version 0.0.4, for
// families that have a line for each of many topics: into one buffer, without an
// object for each sample. What is few goes through the client library.
//
//	# HELP name help
//	# TYPE name counter|gauge|histogram
//	name{label="value",...} 12
//
// The lines of a family stand together, as the format wants: begin the next one
// only when the last is complete.
//
// Source: Prometheus documentation, "Exposition formats".
package promtext
