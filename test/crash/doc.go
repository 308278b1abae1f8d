// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

// Package crash kills the broker, as kill -9 does, while a load of its own runs
// against it, starts it again on the same directory and compares what is there
// with what was answered. Some rounds stop it with SIGTERM instead.
//
//	go test ./test/crash -rounds 20 -seed 1
//
// # A round
//
//	create the round's topics -> load -> kill -> start -> read everything -> check
//
// The load is: connections that keep sends and batches in flight, transactions,
// topics and groups that are created, changed and deleted, and consumer offsets.
// The moment of the kill is a number of answers, drawn from the seed, so it
// falls into every place of the server's work and needs no clock.
//
// # What is checked
//
//   - every acknowledged message is at the queue and offset that the answer
//     named, with the body that was sent; nothing is there that was not sent;
//   - the offsets of a queue have no gap and none occurs twice, positions in the
//     log ascend with them, no message is stored twice;
//   - a message that was sent after another was acknowledged stands behind it;
//   - what was read after one start is read unchanged after the next;
//   - acknowledged commits are visible once, rollbacks never, nobody is asked
//     again about either; open transactions are asked about and then end as the
//     producer says;
//   - topics and groups are as the last answer left them (one request that was
//     not answered may have taken effect or not);
//   - consumer offsets are not behind what the file held before the kill, and
//     after SIGTERM not behind the last answer;
//   - a kill leaves the abort file, SIGTERM none; the next start's recovery says so.
//
// The checks are pure functions (check_test.go), and checker_test.go holds that
// they find each kind of damage.
//
// # With retention
//
// TestKillWithRetention kills a broker that deletes every log file but the one
// that is written as soon as it may, while readers follow that are overtaken all
// the time. What was acknowledged from a queue's first offset on is there; that
// offset and the end never go back; readers of what is gone are told where to go
// on; log, queues and index give their space back.
//
// # With a disk of its own
//
// TestFullDisk gives the broker a small tmpfs and fills it below a running load:
// sends are refused with the cause, reading goes on, the broker is killed, and
// stopped, in that state, and sends resume by themselves when space comes back.
// TestReadOnlyDisk has the kernel make an ext4 read-only below a running broker.
// TestStalledDisk freezes one for a moment: sends wait for as long as they may and
// are refused with the cause, pulls of what is written go on, nothing is lost.
// All mount in a namespace of their own, so nothing is left behind, whatever
// happens to the test. That takes root, or a machine that lets users make
// namespaces; the log of the test says what ran.
//
// The process dies, the machine does not: what a power cut leaves is the
// business of internal/store's tests on the in-memory file system.
package crash
