// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package replay

import (
	"slices"
	"strings"

	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/wiretest"
)

// refusal is where a scenario ends, because the rest needs what Twostage does not
// have yet: the request of this frame is refused.
type refusal struct {
	frame int
	code  int32
	says  string // part of the remark
}

var refusals = map[string]refusal{
	// The Java client throws when it can't register its filter.
	"java-consumer-sql92": {7, wire.SystemError, "SQL92"},
	"go-consumer-sql92":   {12, wire.SystemError, "SQL92"},
	"java-request-reply":  {32, wire.RequestCodeNotSupported, "SEND_REPLY_MESSAGE_V2"},
	"go-request-reply":    {36, wire.RequestCodeNotSupported, "SEND_REPLY_MESSAGE"},
}

// refused plays the frame of a refusal.
func (p *player) refused(f *wiretest.Frame, r refusal) {
	p.t.Helper()
	if f.From != "client" {
		p.t.Fatalf("frame %d is not a request", f.Number)
	}
	p.send(f)
	have, err := p.peer(f.Conn).take(patience, answerTo(f.Stated.Opaque))
	if err != nil {
		p.t.Fatal(err)
	}
	if have.Code != r.code || !strings.Contains(string(have.Remark), r.says) {
		p.t.Errorf("frame %d (%s) is answered %d %s, want the refusal %d that names %s: is it there now?",
			f.Number, f.Kind.Name, have.Code, have.Remark, r.code, r.says)
	}
}

// frames gives the frames in the order of playing: that of the recording, but for
// one pull that Java refused although it came in behind the one that made the
// tests tell the broker of its version.
func frames(s *wiretest.Scenario) []wiretest.Frame {
	all := slices.Clone(s.Frames)
	if s.Name == "java-consumer-tag-none-matches" {
		all[13], all[14] = all[14], all[13]
		all[13].At = all[14].At
	}
	return all
}

// intervene does what the recording cut, or what somebody else did, before a
// frame.
func (p *player) intervene(f *wiretest.Frame) {
	p.t.Helper()
	switch {
	case p.s.Name == "java-producer-errors" && f.Number == 7:
		// An administrator makes the topic read only.
		p.peer(2).must(p.t, createTopic("FrReadOnly", 1, 1, 4))
	case p.s.Name == "java-consumer-rebalance" && f.Number == 21:
		// The second consumer's heartbeat is cut.
		leaves := decode(p.t, &p.s.Frames[28])
		p.peer(3).must(p.t, p.subs.again(p.t, "FrRebal", ext(leaves, "clientID")))
	}
}
