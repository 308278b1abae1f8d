// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

// Package popwait holds pops and notifications that found nothing and lets them
// go when there is something for their group, or when their time is up. A Hub
// holds one kind; a broker has one for pops and one for notifications.
//
// A wait is of a group, a topic and a queue, -1 for any queue. What lets it go:
//
//   - a message for the topic that it matches, in its queue ([Hub.Arrive]),
//   - a message in the group's pop retry topic of the topic, of either form of
//     the name, whatever the queue,
//   - a message that the group may have again without a new one being stored: an
//     orderly queue became free, more was there than a pop could take
//     ([Hub.Notify]),
//   - its deadline.
//
// Members of a group share what comes, so a message lets go one wait of each
// group for any queue and one for its queue, not all of them: pops the one that
// waits longest, notifications the one that came last, as RocketMQ does.
//
// A message that comes between the look that found nothing and Hold is not
// missed: Hold asks Wait.Ready once the wait is in. If that was true and the next
// look finds nothing again, the hub asks again after recheck only, so a Ready that
// is wrong costs a few looks a second and not a core.
//
// A wait is let go exactly once, on a goroutine of [Hub.Serve], never on the
// caller's of Arrive; one whose owner is gone ([Hub.Drop]) is not woken. Arrive is
// on the path of every message and costs one atomic load while nobody waits.
//
// There is one lock, Hub.mu. Filter, Ready and Wake are called without it. The waits
// of a key are kept by their filters: a message goes through the distinct filters of
// its topic, not through the waits, and is shown to each once, only as long as all of
// it together costs no more than a bound. Whose filter was not asked is let go, and
// looks itself.
//
// What this package refuses: more waits in all, more waits of one group, topic and
// queue, and more such keys than its limits (Full). RocketMQ drops the waits of the
// key that was used least instead of refusing a new key; they are never answered.
package popwait
