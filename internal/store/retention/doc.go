// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

// Package retention decides which files of a log go, and when a disk counts as
// full. It is a pure function of what it is told: no clock, no files.
//
// # Rules
//
// They are RocketMQ's (CleanCommitLogService of 4.9.8). A file is expired when
// every record in it was stored more than fileReservedTime ago.
//
//	                              | expired files            | other files            | writes
//	------------------------------|--------------------------|------------------------|------------------
//	at an hour of deleteWhen, or  | go                       | stay                   | taken
//	when an operator asks         |                          |                        |
//	at another hour               | stay                     | stay                   | taken
//	above diskMaxUsedSpaceRatio   | go                       | stay                   | taken
//	above diskSpaceCleanForcibly- | go                       | with cleanFile-        | with cleanFile-
//	Ratio                         |                          | ForciblyEnable the     | ForciblyEnable
//	                              |                          | oldest goes, one at a  | taken, without
//	                              |                          | time; without it, stay | refused
//	above diskSpaceWarningLevel-  | as above                 | as above               | refused
//	Ratio                         |                          |                        |
//
// What an operator asks for takes expired files only, above each limit: an unexpired
// one goes when the broker's own rounds find no other way.
//
// Writes that are refused are taken again when the disk is no fuller than
// diskSpaceCleanForciblyRatio, not as soon as it is below the limit that was
// passed. At most deleteFileBatchMax files go in one round. RocketMQ takes that
// many unexpired files at once; here the caller measures the disk again after
// each, and none goes while an expired one is left.
//
// While it is not known how full the disk is, expired files go at any hour (as
// in RocketMQ), others stay, and writes are taken or refused as before.
//
// # Invariants
//
// The file that is being written is not among View.Files, so it never goes. Files
// go from the oldest on. An unexpired one goes only with Policy.Forcibly and above
// Policy.CleanForcibly. Times are store timestamps, never those of the file system.
//
// # What it refuses
//
// Policy.Check: hours that are none, percentages that are none, no reserved time.
package retention
