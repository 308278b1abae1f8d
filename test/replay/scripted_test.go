// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package replay

import (
	"slices"
	"strconv"

	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/internal/wire/wiretest"
)

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
	case p.s.Name == "mqadmin-producer" && f.Number == 1:
		// The producers are those of the answer.
		var all body.ProducerTableInfo
		if err := body.Unmarshal(decode(p.t, &p.s.Frames[3]).Body, &all); err != nil {
			p.t.Fatal(err)
		}
		for group, list := range all.Data {
			for _, who := range list {
				port, err := strconv.Atoi(who.RemoteIP[len("/127.0.0.1:"):])
				if err != nil {
					p.t.Fatal(err)
				}
				p.peer(port).must(p.t, &wire.Request{Code: wire.ReqHeartBeat, Language: wire.LanguageJava, Version: who.Version, Body: body.Marshal(&body.HeartbeatData{
					ClientID: who.ClientID, ProducerDataSet: []body.ProducerData{{GroupName: group}}})})
			}
		}
	case p.s.Name == "java-producer-errors" && f.Number == 7:
		// An administrator makes the topic read only.
		p.peer(2).must(p.t, createTopic("FrReadOnly", 1, 1, 4))
	case p.s.Name == "mqadmin-statsAll" && f.Number == 9:
		p.consumed("FrAdm", "FrAdmGroup")
	case p.s.Name == "java-request-reply" && f.Number == 32:
		// The requester's heartbeat is cut.
		leaves := decode(p.t, &p.s.Frames[34])
		p.peer(5).must(p.t, &wire.Request{Code: wire.ReqHeartBeat, Body: body.Marshal(&body.HeartbeatData{
			ClientID: ext(leaves, "clientID"), ProducerDataSet: []body.ProducerData{{GroupName: ext(leaves, "producerGroup")}}})})
	case p.s.Name == "java-consumer-rebalance" && f.Number == 21:
		// The second consumer's heartbeat is cut.
		leaves := decode(p.t, &p.s.Frames[28])
		p.peer(3).must(p.t, p.subs.again(p.t, "FrRebal", ext(leaves, "clientID")))
	}
}
