// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

// Package trace makes OpenTelemetry spans of what a broker does to messages, and
// sends them to a collector by OTLP over HTTP.
//
//	producer's span <── traceparent in the message's properties
//	  ├── send TOPIC      from the arrival of the send to its answer
//	  │     └── store TOPIC   from the append until the message is as safe as the answer says
//	  ├── commit TOPIC    or rollback TOPIC: its transaction's outcome, until that is on disk
//	  ├── deliver TOPIC   each time a consumer is given the message, by pull or pop
//	  └── ack TOPIC       a popped message, acknowledged
//
// A message is followed when its properties have a traceparent whose producer
// records its spans (flag 01); all its spans are children of that span. The
// broker does not change it. A message without one is followed when it is one in
// [Config.OneIn]: then the send span begins a trace, and the message is stored
// with the traceparent of that span.
//
// # Limits
//
// At most [Config.PerSecond] spans are made in a second, whatever producers ask
// for, and 8192 wait for the collector; the others are dropped. Spans over the
// first limit are counted, and together with those that the collector did not take
// those over the second. No request ever waits for the collector. Of a text from
// outside a span has 1 KiB, with U+FFFD for what is no UTF-8.
//
// # Cost
//
// A nil *Tracer is one that is switched off: its methods do nothing, and callers
// on the hot path look for nil before they do anything. A Tracer may be used by
// several goroutines at a time, a [Sending] by one after the other.
//
// # Refuses
//
// It sets none of OpenTelemetry's globals and reads none of its variables for
// where to send: two brokers in one process have two tracers. It owns nothing on disk.
package trace
