// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"regexp"
	"strings"
	"testing"

	"github.com/twostage/twostage/internal/remoting"
	"github.com/twostage/twostage/internal/rpc"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/body"
)

func TestGroupShow(t *testing.T) {
	env, _ := serve(t)
	if r := try(t, env, "", "group", "show", "g"); r.code != exitFailed || !strings.Contains(r.err, "no such consumer group: g") {
		t.Errorf("nobody is there: %+v", r)
	}
	addr := strings.TrimPrefix(env[1], "BROKER=")
	for id, tags := range map[string]string{"one": "*", "two": "A || B"} {
		c := remoting.NewClient(remoting.ClientConfig{Language: wire.LanguageGo, Version: wire.Version})
		defer c.Close()
		err := rpc.Heartbeat(t.Context(), c, addr, &body.HeartbeatData{ClientID: id, ConsumerDataSet: []body.ConsumerData{{
			GroupName: "g", ConsumeType: body.ConsumePassively, MessageModel: body.Clustering, ConsumeFromWhere: body.ConsumeFromFirstOffset,
			SubscriptionDataSet: []body.SubscriptionData{{Topic: "orders", SubString: tags, SubVersion: 1}},
		}}})
		if err != nil {
			t.Fatal(err)
		}
	}
	out := must(t, env, "group", "show", "g")
	for _, want := range []string{
		`(?m)^broker-a +one +127\.0\.0\.1:\d+ +GO +CONSUME_PASSIVELY +CLUSTERING$`,
		`(?m)^broker-a +two +127`,
		`(?m)^broker-a +orders +TAG +`,
		`(?m)^CONFLICT at broker-a, topic orders: (one|two) has "`,
	} {
		if !regexp.MustCompile(want).MatchString(out) {
			t.Errorf("no %s in\n%s", want, out)
		}
	}
}
