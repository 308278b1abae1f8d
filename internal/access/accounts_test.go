// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package access

import (
	"strings"
	"testing"

	"github.com/twostage/twostage/internal/auth"
	"github.com/twostage/twostage/internal/wire"
)

func TestAccounts(t *testing.T) {
	w := plainWorld(t, plainFile)
	w.mayNot(admin, accountNotPut, "secretKey must both be longer", wire.ReqUpdateAndCreateACLConfig, nil, text{"accessKey", "newcomer"})
	w.may(admin, wire.ReqUpdateAndCreateACLConfig, nil, text{"accessKey", "newcomer"}, text{"secretKey", "top-secret-7"}, text{"topicPerms", "a=PUB,b=SUB"})
	newcomer := auth.Credentials{AccessKey: "newcomer", SecretKey: "top-secret-7"}
	w.may(newcomer, wire.ReqSendMessage, nil, text{"topic", "a"})
	w.mayNot(newcomer, wire.SystemError, "Topic:b", wire.ReqSendMessage, nil, text{"topic", "b"})
	answer := w.ask(newcomer, wire.ReqGetBrokerClusterACLInfo, nil)
	if v, _ := answer.Ext.Get("allAclFileVersion"); !strings.Contains(string(v), `"/conf/plain_acl.yml":{"counter":`) {
		t.Errorf("versions: %s", v)
	}
	w.may(admin, wire.ReqDeleteACLConfig, nil, text{"accessKey", "newcomer"})
	w.mayNot(newcomer, wire.SystemError, "No acl config", wire.ReqSendMessage, nil, text{"topic", "a"})
	w.mayNot(admin, accountNotDeleted, "no account", wire.ReqDeleteACLConfig, nil, text{"accessKey", "newcomer"})
	w.mayNot(admin, whiteNotPut, "none of the access files", wire.ReqUpdateGlobalWhiteAddrsConfig, nil, text{"globalWhiteAddrs", "*"}, text{"aclFileFullPath", "/etc/passwd"})
	w.may(admin, wire.ReqUpdateGlobalWhiteAddrsConfig, nil, text{"globalWhiteAddrs", "127.0.0.1,10.1.1.*"})
	w.may(nobody, wire.ReqUpdateBrokerConfig, nil)
	w.guard.Reload() // what was written is what is read
	w.may(nobody, wire.ReqUpdateBrokerConfig, nil)
	w.mayNot(nobody, wire.NoPermission, "authenticationEnabled=true", wire.ReqAuthListUser, nil)
}

func TestPassword(t *testing.T) {
	w := plainWorld(t, plainFile)
	for _, try := range []struct {
		name, secret string
		ok           bool
	}{
		{"administrator", "top-secret-2", true}, {"administrator", "top-secret-1", false}, {"producer", "top-secret-1", false}, {"", "", false},
	} {
		if err := w.guard.Password(try.name, try.secret, loopback); (err == nil) != try.ok {
			t.Errorf("%s: %v", try.name, err)
		}
	}
}
