// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

// Package stats counts what goes through a broker, in all and by topic and group,
// and tells how much it was lately: what RocketMQ's StoreStatsService, BrokerStats
// and BrokerStatsManager tell its tools.
//
// There are three kinds of figures. Counters by topic, by group and topic and of the
// broker have windows of a minute, an hour and a day ([Stats.View]). Totals of the
// broker have rates over 10 s, a minute and 10 minutes ([Stats.Rates]), and what they
// were at the last two midnights ([Stats.Days]). How long puts took is known for the
// last minute ([Stats.Latency]). Everything is since the start of the process;
// nothing is on disk.
//
// Counting costs a lookup and a few additions for all messages of a request; it takes
// no lock but for a name that is new. The rest is done by Run once a second. A window
// reaches from its oldest sample to now: one of a minute has the last 60 to 70 s, of
// an hour 60 to 70 minutes, of a day 24 to 25 hours, or what has passed since the
// start.
//
// A counter keeps samples only while it changes. At most [MaxNames] names are kept by
// topic, and as many by group and topic; what is beyond counts for the broker only and
// is counted by [Stats.Unnamed]. Names of topics and groups that are gone are
// forgotten: at once where the broker says so, else within 10 minutes.
//
// Lock order: Stats.mu, then that of a table. The functions of Config run under none.
package stats
