// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

// Package timer keeps messages with a time of delivery (RIP-43) until it has
// come, and then stores them where they were sent to.
//
//	send, commit -> Rewrite -> rmq_sys_wheel_timer, queue 0
//	                              | put in (one unit, one slot)
//	                              v
//	                       wheel: slot -> chain of units        on disk
//	                              | the slot of now, and the next one
//	                              v
//	                       window: the earliest units           in memory
//	                              | due, to the ms
//	                              v
//	                       REAL_TOPIC, queue REAL_QID
//
// # What it owns
//
// The topic rmq_sys_wheel_timer and, through internal/store/timerfile, the files
// timerwheel, timerlog and config/timercheck, all in RocketMQ 5.3.3's form. The
// files are a view of the topic: lost or damaged ones are built from the log
// again by Run, also while the broker runs. That can be ended by Close, begins anew
// then, and nothing is delivered before the wheel is whole. RocketMQ takes a
// directory over that Close has left, and the other way round (see Service.finish).
//
// # Time
//
// The slot only decides when units are read. Each is delivered at its exact time:
// TIMER_DELIVER_MS, or its store time and TIMER_DELAY_MS or TIMER_DELAY_SEC.
//
// The wheel has a time of its own: the wall clock when the service was opened,
// and from then on the process's. By how much the clocks are ahead of it is
// measured as entries arrive, so that setting the wall clock makes nothing early
// or more than a few ms late. What an earlier run put in is measured once, at
// Open, by the wall clock; what comes up too early then goes into a later slot.
// When the wall clock was set back the wheel's time stays ahead of it over
// restarts, as its slots do.
//
// A time further away than RollWindow is stored again on the way (rolled), so
// that its record is not deleted with its log file.
//
// # Guarantee
//
// A message is delivered once, over clean stops and kills; a power cut has that
// delivered again of which the log lost the delivery:
//
//   - what is delivered or rolled names the log offset of the record that waited
//     in its PreparedOffset;
//   - a checkpoint says which slots are over, which entries are in the wheel, and
//     where the log ended when the slot under way began. What it says is durable
//     before. No slot of more than a minute behind it (lease) is delivered before
//     the next one, unless that can't be written;
//   - Open goes back to the checkpoint, walks the log from there and collects
//     these offsets. What is among them is passed over, and they are found again
//     by a further Open until all slots of that minute are over.
//
// # Recalls
//
// A recall takes its message away when it was in the log before the message's slot
// began: a slot is delivered only when all entries of before are in the wheel. The
// two belong together by topic, UNIQ_KEY and the second of TIMER_OUT_MS, which is
// that of the handle and stays when a message is rolled. What slots they are in
// does not count: those depend on when each was stored and on what was done to the
// clock meanwhile. So all recalls whose messages may still come are in memory; on
// disk their units are chained. Rewrite refuses a recall whose message, by any of
// the clock's settings of the last MaxDelay, may be in a slot that has begun, or has
// been delivered by an earlier run.
//
// A record that is damaged or gone, or that names no possible target, is skipped,
// counted and logged. When the log takes nothing or cannot be read, delivery
// waits and tries again; the store says when a record that the disk does not give
// counts as damaged (store.ErrDamaged). A message whose topic was deleted is stored under that name all the same.
//
// # Memory
//
// Nothing in proportion to what waits, but about 50 bytes for each recall whose
// message may still come, of which more than maxRecalls are refused. For each of two
// slots, the one under way and the next, at most 2*maxWindow items of 16 bytes and 8
// bytes for each maxWindow units; slots changed since the last checkpoint, at most
// the 38 MB of the wheel. After a kill, of what was delivered behind the checkpoint,
// a bit for each 64 bytes of log, where there is any; the same while a wheel is
// built, in at most rebuildPages at a time.
//
// # Work
//
// A slot is read once, a few thousand units between deliveries. One with more units
// than a window is read again for each further window while it is under way, and
// twice more when it is over: then all are due, and come as they were put in. Entries
// wait in the queue while the window of the slot under way is full, but not those
// from before it began, as a recall may be among them. Old files of the timerlog are
// looked through once, 1 MiB at a time.
//
// # What it refuses
//
// Times beyond MaxDelay, and what is no number. Messages for the topics of
// waiting and half messages are never delivered. The topic rmq_sys_wheel_timer
// must not be deleted while a Service is open.
//
// All work is done by the goroutine of Run. mu is the only lock, and never held
// while the store or a file is used.
package timer
