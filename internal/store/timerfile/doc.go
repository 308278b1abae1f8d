// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

// Package timerfile reads and writes the three files in which RocketMQ 5 keeps
// what waits for its time of delivery:
//
//	timerwheel   a slot for each second of two turns: where its units begin and end
//	timerlog/    units, one for each message that waits, chained by slot
//	config/timercheck   how far delivery and intake are
//
// # What it owns
//
// The formats and the three names below the store directory. Slots and units have
// RocketMQ 5.3.3's form byte for byte; timercheck has 96 bytes more in the page
// that RocketMQ reserves for it and does not touch (see Checkpoint). All numbers
// are big endian.
//
// # Invariants
//
// The wheel and the log of units are a view of the topic rmq_sys_wheel_timer. A
// crash is mended by going back to the last checkpoint:
//
//   - a checkpoint is written in the order units, slots, checkpoint, each durable
//     before the next. So no slot on disk names a unit that is not there;
//   - between two checkpoints units are written and changed slots kept in memory;
//   - Open goes back to the checkpoint: slots that name a unit behind its end are
//     led back along their chain, durably, and then what is behind is cut off.
//
// A file that cannot be what was written is ErrDamaged; the caller then begins
// with empty files and builds the view again.
//
// # What it refuses
//
// It knows no clock and decides nothing. Files are used by one goroutine; only Units
// reads beside it, with files of its own.
package timerfile
