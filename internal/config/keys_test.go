// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"os"
	"strconv"
	"strings"
	"testing"
)

// TestEveryRocketMQKey holds the table against the setters of RocketMQ's classes.
func TestEveryRocketMQKey(t *testing.T) {
	text, err := os.ReadFile("testdata/rocketmq-keys.txt")
	if err != nil {
		t.Fatal(err)
	}
	brokers, servers := brokerTable(), namesrvTable()
	kinds := map[string]kind{"int": kindInt, "long": kindLong, "boolean": kindBool, "double": kindDouble, "text": kindText}
	tables := map[string][]*table{
		"BrokerConfig": {brokers}, "BrokerIdentity": {brokers}, "MessageStoreConfig": {brokers}, "AuthConfig": {brokers},
		"TieredStore": {brokers}, "NettyServerConfig": {brokers, servers}, "NettyClientConfig": {brokers, servers},
		"NamesrvConfig": {servers}, "ControllerConfig": {servers}, "JraftConfig": {servers},
	}
	checked := 0
	for _, line := range strings.Split(string(text), "\n") {
		f := strings.Fields(line)
		if len(f) != 3 || f[0] == "#" {
			continue
		}
		if len(tables[f[0]]) == 0 {
			t.Errorf("no table for %s", line)
		}
		for _, table := range tables[f[0]] {
			k := table.named[f[1]]
			if k == nil {
				t.Errorf("%s: not in the %s's table", line, table.owner)
				continue
			}
			if k.kind != kinds[f[2]] {
				t.Errorf("%s: kind %d in the %s's table", line, k.kind, table.owner)
			}
			checked++
		}
	}
	if checked < 580 {
		t.Errorf("only %d keys checked", checked)
	}
}

func TestTableIsSound(t *testing.T) {
	groups := map[*table]int{}
	brokers, servers := brokerTable(), namesrvTable()
	groups[brokers] = len(usedServer("")) + len(usedBroker()) + len(refused(refusedBroker, refusedServer)) + len(storePlaces) +
		len(pending(pendingBroker)) + len(ignored(ignoredBroker, ignoredServer))
	groups[servers] = len(usedServer("")) + len(usedNamesrv()) + len(refused(refusedNamesrv, refusedServer)) +
		len(pending(pendingNamesrv)) + len(ignored(ignoredNamesrv, ignoredServer))
	for table, rows := range groups {
		if len(table.keys) != rows {
			t.Errorf("%s: %d rows, %d keys: some key has two rows", table.owner, rows, len(table.keys))
		}
		plain := map[string]string{}
		for name, k := range table.named {
			if other, ok := plain[plainName(name)]; ok && other != k.name {
				t.Errorf("%s: the variables of %s and %s are the same", table.owner, other, k.name)
			}
			plain[plainName(name)] = k.name
			if rest, ok := strings.CutPrefix(plainName(name), "namesrv"); ok && servers.plain[rest] != nil {
				t.Errorf("%s: the variable of %s is also that of the name server's %s", table.owner, name, servers.plain[rest].name)
			}
		}
		for _, k := range table.keys {
			if k.def != "" && k.check(k.def) != "" {
				t.Errorf("%s: default %q: %s", k.name, k.def, k.check(k.def))
			}
			if k.class == Refused && k.why == "" || k.class == Pending && meaning(k.why) == "" {
				t.Errorf("%s: no reason", k.name)
			}
			if k.class == Used && (k.kind == kindInt || k.kind == kindLong) && k.max == 0 {
				t.Errorf("%s: no bounds", k.name)
			}
		}
	}
	for name := range secrets {
		if brokers.named[name] == nil || !brokers.named[name].secret {
			t.Errorf("secret %s is no such key", name)
		}
	}
	for _, a := range aliases {
		if brokers.named[a[0]] == nil {
			t.Errorf("%s is another spelling of no key", a[0])
		}
	}
}

// another returns a value that is well formed and not the default.
func another(k *key) string {
	switch k.kind {
	case kindBool:
		return strconv.FormatBool(k.def == "false")
	case kindText:
		return "other"
	case kindDouble:
		return "0.123"
	}
	n, _ := strconv.ParseInt(k.def, 10, 64)
	return strconv.FormatInt(n/2+3, 10)
}

func TestClassOfEveryKey(t *testing.T) {
	for _, table := range []*table{brokerTable(), namesrvTable()} {
		load := func(key, value string) (Values, error) {
			f := File{Name: "x.conf", Text: []byte(key + "=" + value)}
			s := Sources{HostName: "box", BrokerFile: f}
			if table.owner != "broker" {
				s = Sources{Role: RoleNamesrv, NamesrvFile: f}
			}
			c, err := Load(s)
			if err != nil {
				return Values{}, err
			}
			if table.owner != "broker" {
				return c.NamesrvValues, nil
			}
			return c.BrokerValues, nil
		}
		for _, k := range table.keys {
			if k.class == Used {
				continue
			}
			values, err := load(k.name, another(k))
			if k.class == Refused {
				if err == nil {
					t.Errorf("%s=%s is accepted", k.name, another(k))
					continue
				}
				if !strings.HasPrefix(err.Error(), "x.conf:1: "+k.name+"=") || !strings.Contains(err.Error(), k.why) {
					t.Errorf("%s: error %q", k.name, err)
				}
				if k.secret && strings.Contains(err.Error(), another(k)) {
					t.Errorf("%s: the error tells the secret: %v", k.name, err)
				}
				if k.def != "" {
					if _, err := load(k.name, k.def); err != nil {
						t.Errorf("%s=%s: %v", k.name, k.def, err)
					}
				}
				continue
			}
			if err != nil {
				t.Errorf("%s: %v", k.name, err)
				continue
			}
			ignored, pending := values.Ignored(), values.Pending()
			if k.class == Ignored && (len(ignored) != 1 || ignored[0] != k.name || pending != nil) {
				t.Errorf("%s: ignored %v, pending %v", k.name, ignored, pending)
			}
			if k.class == Pending && (len(pending) != 1 || pending[0].Part != k.why || pending[0].Keys[0] != k.name || ignored != nil) {
				t.Errorf("%s: ignored %v, pending %v", k.name, ignored, pending)
			}
		}
	}
}

// TestNobodyIsMisled lists by hand what asks for something that does not exist, independently of the table.
func TestNobodyIsMisled(t *testing.T) {
	for line, reason := range map[string]string{
		"brokerRole=SLAVE":                   "replication",
		"brokerRole=SYNC_MASTER":             "replication",
		"brokerId=1":                         "replication",
		"brokerId=-1":                        "replication",
		"haMasterAddress=10.0.0.1:10912":     "replication",
		"totalReplicas=2":                    "replication",
		"inSyncReplicas=2":                   "replication",
		"minInSyncReplicas=2":                "replication",
		"allAckInSyncStateSet=true":          "replication",
		"enableControllerMode=true":          "controller",
		"controllerAddr=127.0.0.1:9878":      "controller",
		"enableDLegerCommitLog=true":         "DLedger",
		"dLegerPeers=n0-127.0.0.1:40911":     "DLedger",
		"enableSlaveActingMaster=true":       "acting",
		"enableRemoteEscape=true":            "acting",
		"slaveReadEnable=true":               "slave",
		"storeType=defaultRocksDB":           "RocksDB",
		"configManagerVersion=v2":            "RocksDB",
		"rocksdbCQDoubleWriteEnable=true":    "RocksDB",
		"transferMetadataJsonToRocksdb=true": "RocksDB",
		"messageStorePlugIn=org.apache.rocketmq.tieredstore.TieredMessageStore": "tiered",
		"tieredStoreFilePath=/cold":               "tiered",
		"enableLmq=true":                          "light message queues",
		"enableMultiDispatch=true":                "light message queues",
		"enableConsumeQueueExt=true":              "extension",
		"timerInterceptDelayLevel=true":           "timer wheel",
		"enableCompaction=true":                   "compaction",
		"filterSupportRetry=true":                 "retried messages",
		"defaultMessageRequestMode=PUSH":          "POP",
		"forceVerifyPropCRC=true":                 "CRC",
		"storePathCommitLog=/a,/b":                "several directories",
		"fetchNamesrvAddrByAddressServer=true":    "namesrvAddr",
		"rejectPullConsumerEnable=true":           "pull consumers",
		"coldDataFlowControlEnable=true":          "cold",
		"messageIndexEnable=false":                "index",
		"metricsExporterType=LOG":                 "exporter",
		"disableConsumeIfConsumerReadSlowly=true": "slow consumers",
	} {
		wantError(t, brokerFile(line), reason)
	}
	_, err := Load(brokerFile("initAuthenticationUser=top-secret-1"))
	if err == nil || strings.Contains(err.Error(), "top-secret-1") || !strings.Contains(err.Error(), "******") {
		t.Errorf("error %v", err)
	}
}
