// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package consume

import (
	"fmt"
	"strings"
)

var kindNames = map[kind]string{
	sendAsked: "send", sendDone: "stored", pulled: "pulled", began: "began", done: "done", failed: "failed", backAsked: "give back",
	backDone: "given back", popped: "popped", ackAsked: "ack", ackDone: "acked", hideAsked: "hide", hideDone: "hidden",
	killed: "broker killed", restarted: "broker back",
}

const maxTrail = 60 // events

// trail tells what happened to a message in a group, for those who look for the
// cause of a violation: times are in ms since the first event.
func (r *run) trail(group, id string) string {
	var b strings.Builder
	n := 0
	for i := range r.events {
		e := &r.events[i]
		about := e
		switch e.kind {
		case sendDone, backDone, ackDone, hideDone:
			about = &r.events[e.of]
		case killed, restarted:
			fmt.Fprintf(&b, "\n      %d %s", e.at-r.events[0].at, kindNames[e.kind])
			continue
		}
		if about.id != id || about.group != "" && about.group != group || n >= maxTrail {
			continue
		}
		n++
		fmt.Fprintf(&b, "\n      %d %s", e.at-r.events[0].at, kindNames[e.kind])
		if about.group != "" {
			fmt.Fprintf(&b, " by %s, %s offset %d, after %d tries", about.who, about.q, about.offset, about.times)
		}
		if e.from != 0 {
			fmt.Fprintf(&b, ", from %d", e.from-r.events[0].at)
		}
		if e.until != 0 {
			fmt.Fprintf(&b, ", until %d", e.until-r.events[0].at)
		}
	}
	return b.String()
}
