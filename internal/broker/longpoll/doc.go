// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

// Package longpoll holds pulls that found nothing and lets them go when a
// message arrives or their time is up.
//
// The message itself wakes a pull: whoever makes a consume queue entry visible
// calls [Hub.Arrive]. There is no sweep. Arrive is on the path of every message
// and costs one atomic load while nobody waits.
//
// A message is shown to the distinct filters of the pulls without the hub's lock,
// and only as long as all of them together cost no more than a bound: whose filter
// is not asked is let go, as are those that the message concerns. A pull remembers
// how far its filter has turned down what came, so that nobody looks at that again.
//
// A pull that is let go runs on a goroutine of [Hub.Serve], never on the
// caller's of Arrive, and is let go exactly once; one whose owner is gone
// ([Hub.Drop]) never runs.
//
// What this package refuses: to hold more than its limit (the pull is then
// answered at once, as if its time were up).
package longpoll
