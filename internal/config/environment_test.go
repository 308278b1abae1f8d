// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"reflect"
	"strings"
	"testing"
)

func TestPrecedence(t *testing.T) {
	s := brokerFile("listenPort=1001\nmaxMessageSize=1001\nbrokerPermission=4\nenableLmq=true\ndefaultTopicQueueNums=nonsense\n")
	s.Environment = []string{"PATH=/bin", "TWOSTAGE_LISTEN_PORT=1002", "TWOSTAGE_MAXMESSAGESIZE=1002", "TWOSTAGE_ENABLELMQ=false",
		"TWOSTAGE_DEFAULTTOPICQUEUENUMS=4", "TWOSTAGE_REGIONID="}
	s.Flags = map[string]string{"listenPort": "1003"}
	c := mustLoad(t, s)
	for _, want := range []struct{ key, text, source string }{
		{"listenPort", "1003", "flag listenPort"},
		{"maxMessageSize", "1002", "TWOSTAGE_MAXMESSAGESIZE"},
		{"brokerPermission", "4", "broker.conf:3"},
		{"enableLmq", "false", "TWOSTAGE_ENABLELMQ"},
		{"defaultTopicQueueNums", "4", "TWOSTAGE_DEFAULTTOPICQUEUENUMS"},
		{"regionId", "DefaultRegion", "default"},
		{"haListenPort", "1004", "default"},
	} {
		v, ok := c.BrokerValues.Lookup(want.key)
		if !ok || v.Text != want.text || v.Source.String() != want.source {
			t.Errorf("%s = %q from %q, want %q from %q", want.key, v.Text, v.Source, want.text, want.source)
		}
	}
	if c.Broker.Network.ListenPort != 1003 || c.Broker.Store.MaxMessageSize != 1002 || c.Broker.Identity.Permission != 4 {
		t.Errorf("%+v", c.Broker)
	}

	spelled := brokerFile("mapedFileSizeCommitLog=5000")
	spelled.Environment = []string{"TWOSTAGE_MAPPEDFILESIZECOMMITLOG=6000"}
	if got := mustLoad(t, spelled).Broker.Store.CommitLogFileSize; got != 6000 {
		t.Errorf("file size %d, want the variable's", got)
	}
}

func TestVariables(t *testing.T) {
	env := func(vars ...string) Sources { return Sources{HostName: "box", Environment: vars} }
	c := mustLoad(t, env("TWOSTAGE_NAMESRV_LISTENPORT=9000", "TWOSTAGE_NAMESRV_ADDR=a:1", "TWOSTAGE_KV_CONFIG_PATH=/kv",
		"TWOSTAGE_TLS_SERVER_MODE=disabled", "TWOSTAGE_MAPED_FILE_SIZE_COMMIT_LOG=5000", "TWOSTAGE_HTTPLISTENPORT=0"))
	if c.Namesrv.ListenPort != 9000 || c.Namesrv.KVConfigPath != "/kv" || c.Broker.Network.ListenPort != 10911 ||
		c.Broker.Store.CommitLogFileSize != 5000 || !reflect.DeepEqual(c.Broker.Registration.NameServers, []string{"a:1"}) {
		t.Errorf("%+v", c)
	}
	if c.HTTP.Port != 0 || !c.HTTP.Explicit {
		t.Errorf("http %+v", c.HTTP)
	}

	alone := env("TWOSTAGE_LISTENPORT=9001", "TWOSTAGE_BROKERNAME=b", "TWOSTAGE_NAMESRV_ADDR=a:1", "TWOSTAGE_ENABLELMQ=true")
	alone.Role = RoleNamesrv
	c = mustLoad(t, alone)
	if want := []string{"TWOSTAGE_BROKERNAME", "TWOSTAGE_ENABLELMQ", "TWOSTAGE_NAMESRV_ADDR"}; c.Namesrv.ListenPort != 9001 || !reflect.DeepEqual(c.Foreign, want) {
		t.Errorf("port %d, foreign %v", c.Namesrv.ListenPort, c.Foreign)
	}
	broker := env("TWOSTAGE_LISTENPORT=9001", "TWOSTAGE_NAMESRV_LISTENPORT=1", "TWOSTAGE_KVCONFIGPATH=/kv")
	broker.Role = RoleBroker
	c = mustLoad(t, broker)
	if c.Broker.Network.ListenPort != 9001 || len(c.Foreign) != 2 {
		t.Errorf("port %d, foreign %v", c.Broker.Network.ListenPort, c.Foreign)
	}

	own := env("TWOSTAGE_DATA=/d", "TWOSTAGE_SERVICE_HOST=10.0.0.1", "TWOSTAGE_SERVICE_PORT_BROKER=10911", "TWOSTAGE_PORT=tcp://10.0.0.1:10911",
		"TWOSTAGE_PORT_10911_TCP_ADDR=10.0.0.1", "TWOSTAGE_BROKER_A_PORT_10911_TCP=tcp://10.0.0.1:10911")
	own.OwnVariables = []string{"TWOSTAGE_DATA"}
	mustLoad(t, own)

	wantError(t, env("TWOSTAGE_DATA=/d"), "TWOSTAGE_DATA: no key has this name")
	wantError(t, env("TWOSTAGE_LISTENPROT=1"), "TWOSTAGE_LISTENPROT", "did you mean TWOSTAGE_LISTENPORT?")
	wantError(t, env("TWOSTAGE_NAMESRV_LISTENPROT=1"), "did you mean TWOSTAGE_NAMESRV_LISTENPORT?")
	wantError(t, env("TWOSTAGE_PORT=10911"), "TWOSTAGE_PORT: no key")
	wantError(t, env("TWOSTAGE_LISTENPORT=1", "TWOSTAGE_LISTEN_PORT=2"), "TWOSTAGE_LISTEN_PORT: listenPort=2: ", "listenPort=1 (TWOSTAGE_LISTENPORT)") // sorted by name
	wantError(t, env("TWOSTAGE_ENABLE_LMQ=true"), "TWOSTAGE_ENABLE_LMQ: enableLmq=true: light message queues")
	wantError(t, env("TWOSTAGE_LISTENPORT=x"), "TWOSTAGE_LISTENPORT: listenPort=x: accepted is")
	wantError(t, Sources{Flags: map[string]string{"lisenPort": "1"}}, "flag lisenPort: unknown key; did you mean listenPort?")
	mustLoad(t, env("TWOSTAGE_LISTENPORT=1", "TWOSTAGE_LISTEN_PORT=1"))
}

// Names get into metrics and answers, which are UTF-8; files are read as what they are.
func TestNamesAreUTF8(t *testing.T) {
	for _, key := range []string{"brokerName", "brokerClusterName", "msgTraceTopicName"} {
		wantError(t, Sources{Flags: map[string]string{key: "caf\xe9"}}, "flag "+key+"=caf", "not valid UTF-8")
	}
	c := mustLoad(t, brokerFile("brokerName=caf\xe9"))
	if name := c.Broker.Identity.Name; name != "café" {
		t.Errorf("%q", name)
	}
}

func TestValues(t *testing.T) {
	c := mustLoad(t, brokerFile("brokerName=a\nmetricsGrpcExporterHeader=password\nregionId=x\\ny\n"))
	text := string(c.BrokerValues.AppendProperties(nil))
	for _, line := range []string{"brokerName=a\n", "listenPort=10911\n", "brokerRole=ASYNC_MASTER\n", "metricsGrpcExporterHeader=******\n",
		"regionId=x y\n", "storePathRootDir=twostage-data/store\n", "enableCompaction=false\n"} {
		if !strings.Contains("\n"+text, "\n"+line) {
			t.Errorf("no line %q", line)
		}
	}
	if strings.Contains(text, "password") || strings.Contains(text, "brokerIP1") || strings.Contains(text, "maped") {
		t.Errorf("text has a secret, an unset key or a second spelling:\n%s", text)
	}
	lines := strings.Split(strings.TrimSpace(text), "\n")
	for i := 1; i < len(lines); i++ {
		a, _, _ := strings.Cut(lines[i-1], "=")
		b, _, _ := strings.Cut(lines[i], "=")
		if a >= b {
			t.Errorf("%s before %s", a, b)
		}
	}
	at := c.BrokerValues.With("brokerIP1", "10.0.0.7")
	if v, _ := at.Lookup("brokerIP1"); v.Text != "10.0.0.7" || v.Source.String() != "chosen at start" {
		t.Errorf("%+v", v)
	}
	if v, _ := c.BrokerValues.Lookup("brokerIP1"); v.Text != "" {
		t.Errorf("With changed the original: %+v", v)
	}
	if _, ok := c.BrokerValues.Lookup("mapedFileSizeCommitLog"); ok {
		t.Error("a second spelling is listed")
	}
}
