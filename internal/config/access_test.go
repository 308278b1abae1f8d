// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"strings"
	"testing"
)

func TestAccess(t *testing.T) {
	c := mustLoad(t, brokerFile(`rocketmqHome=/opt/rocketmq
authenticationEnabled=true
authorizationEnabled=true
authenticationProvider=org.apache.rocketmq.auth.authentication.provider.DefaultAuthenticationProvider
authorizationWhitelist=105, 206
initAuthenticationUser={"username":"root","password":"top-secret-1"}
innerClientAuthenticationCredentials={"accessKey":"inner","secretKey":"top-secret-2"}
`))
	a := c.Broker.Access
	if !a.Enabled() || !a.Authorization || a.Plain || a.PlainFile != "/opt/rocketmq/conf/plain_acl.yml" || len(a.AuthorizationWhitelist) != 2 ||
		a.InitUser.Name != "root" || a.InitUser.Reveal() != "top-secret-1" || a.Inner.Name != "inner" || a.Inner.Reveal() != "top-secret-2" {
		t.Errorf("%+v", a)
	}
	for _, shown := range []string{fmt.Sprintf("%v %+v %#v", c.Broker, c.Broker, c.Broker.Access), string(c.BrokerValues.AppendProperties(nil))} {
		if strings.Contains(shown, "top-secret") {
			t.Errorf("a secret is shown: %s", shown)
		}
	}
}

func TestAccessThatProtectsNothingIsRefused(t *testing.T) {
	for text, want := range map[string]string{
		"authorizationEnabled=true":                            "set authenticationEnabled=true as well",
		"authenticationWhitelist=SEND":                         "accepted are request codes",
		"authenticationProvider=com.example.Mine":              "accepted are org.apache.rocketmq.auth",
		`initAuthenticationUser={"username":"u"}`:              "initAuthenticationUser=******: accepted is",
		`innerClientAuthenticationCredentials={"accessKey":1}`: "innerClientAuthenticationCredentials=******: accepted is",
		"migrateAuthFromV1Enabled=true":                        "aclEnable=true",
	} {
		wantError(t, brokerFile(text), want)
	}
}
