// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"errors"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

func brokerFile(text string) Sources {
	return Sources{HostName: "box", BrokerFile: File{Name: "broker.conf", Text: []byte(text)}}
}

func mustLoad(t *testing.T, s Sources) *Config {
	t.Helper()
	c, err := Load(s)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// wantError loads and asks for exactly one error with all the given pieces.
func wantError(t *testing.T, s Sources, pieces ...string) {
	t.Helper()
	_, err := Load(s)
	if err == nil {
		t.Fatalf("no error, want one with %q", pieces)
	}
	for _, p := range pieces {
		if !strings.Contains(err.Error(), p) {
			t.Errorf("error %q lacks %q", err, p)
		}
	}
	if n := strings.Count(err.Error(), "\n"); n != 0 {
		t.Errorf("%d errors, want one: %v", n+1, err)
	}
}

func TestDefaults(t *testing.T) {
	c := mustLoad(t, Sources{HostName: "box", DataDir: "/d"})
	tls := TLS{Mode: "permissive", SelfSigned: true, ClientAuth: "none"}
	limits := Limits{Connections: 100_000, InflightBytes: 64 << 20, ArrivingBytes: 512 << 20}
	want := Broker{
		Identity:     Identity{Cluster: "DefaultCluster", Name: "box", Region: "DefaultRegion", Permission: 6},
		Network:      Network{BindAddress: "0.0.0.0", ListenPort: 10911, HAPort: 10912, IdleTimeout: 2 * time.Minute},
		Registration: Registration{Timeout: 24 * time.Second, Period: 30 * time.Second},
		Store: Store{Dir: "/d/store", CommitLogDir: "/d/store/commitlog", CommitLogFileSize: 1 << 30, ConsumeQueueFileSize: 6_000_000,
			IndexSlots: 5_000_000, IndexEntries: 20_000_000, MaxMessageSize: 4 << 20, CheckReads: "COLD"},
		Retention: Retention{Reserved: 72 * time.Hour, Hours: []int{4}, MaxUsed: 75, CleanForcibly: 85, Warning: 90, Forcibly: true,
			Interval: 10 * time.Second, Batch: 10},
		Flush: Flush{CommitLogInterval: 500 * time.Millisecond, CommitLogLeastPages: 4, CommitLogThoroughInterval: 10 * time.Second,
			ConsumeQueueInterval: time.Second, SyncTimeout: 5 * time.Second, SendWait: 200 * time.Millisecond},
		Topics: Topics{DefaultQueues: 8, AutoCreate: true, StoreReplies: true, Cluster: true, Broker: true},
		Groups: Groups{AutoCreate: true, ServerSideReset: true, OffsetFlushInterval: 5 * time.Second, NotifyChanges: true, ClientExpiry: 2 * time.Minute},
		Delays: Delays{OffsetFlushInterval: 10 * time.Second, Levels: []time.Duration{time.Second, 5 * time.Second, 10 * time.Second,
			30 * time.Second, time.Minute, 2 * time.Minute, 3 * time.Minute, 4 * time.Minute, 5 * time.Minute, 6 * time.Minute,
			7 * time.Minute, 8 * time.Minute, 9 * time.Minute, 10 * time.Minute, 20 * time.Minute, 30 * time.Minute, time.Hour, 2 * time.Hour}},
		Timers: Timers{Enable: true, MaxDelay: 72 * time.Hour, Precision: time.Second, RollWindow: 48 * time.Hour, FlushInterval: time.Second,
			FileSize: 100 << 20, RecallAlways: true},
		Transactions: Transactions{Timeout: 6 * time.Second, MaxChecks: 15, CheckInterval: 30 * time.Second, MaxAge: 72 * time.Hour, CheckRate: 1000, Flush: SyncFlush},
		Pull: Pull{LongPolling: true, ShortPolling: time.Second, PropertyFilter: true, MaxBytesInMemory: 256 << 10, MaxCountInMemory: 32,
			MaxBytesOnDisk: 64 << 10, MaxCountOnDisk: 8, MemoryPercent: 40},
		Pop:     Pop{ReviveQueues: 8, RetryProbability: 20},
		PopWait: PopWait{MaxWaits: 100_000, MaxKeys: 100_000, MaxPerKey: 1024, ForceEvery: 800},
		Assign:  Assign{Balance: true, RouteInterval: 30 * time.Second, DefaultMode: "PULL", ShareQueues: -1},
		Query:   Query{MaxMessages: 64, MaxByUniqueKey: 32},
		Trace:   Trace{On: true, Topic: "RMQ_SYS_TRACE_TOPIC", PerSecond: 1000},
		Metrics: Metrics{Port: 5557, MaxSeries: 50000}, Requests: Requests{Slow: time.Second}, TLS: tls, Limits: limits, Creations: Creations{Topics: 10000, Groups: 10000},
		Access: Access{PlainFile: "/d/conf/plain_acl.yml", Dir: "/d/store/config/auth"},
	}
	if !reflect.DeepEqual(c.Broker, want) {
		t.Errorf("broker\n got %+v\nwant %+v", c.Broker, want)
	}
	wantNS := Namesrv{BindAddress: "0.0.0.0", ListenPort: 9876, IdleTimeout: 2 * time.Minute, KVConfigPath: "/d/namesrv/kvConfig.json",
		ScanInterval: 5 * time.Second, Slow: time.Second, TLS: tls, Limits: limits,
		Access: Access{PlainFile: "/d/conf/plain_acl.yml", Dir: "/d/namesrv/auth"}}
	if !reflect.DeepEqual(c.Namesrv, wantNS) {
		t.Errorf("name server\n got %+v\nwant %+v", c.Namesrv, wantNS)
	}
	if want := (HTTP{BindAddress: "0.0.0.0", Port: 8082}); c.HTTP != want {
		t.Errorf("http %+v, want %+v", c.HTTP, want)
	}
	if got := c.BrokerValues.Ignored(); got != nil {
		t.Errorf("ignored %v without a file", got)
	}
	if got := c.BrokerValues.Pending(); got != nil {
		t.Errorf("pending %v without a file", got)
	}
	if c := mustLoad(t, Sources{}); c.Broker.Identity.Name != "DEFAULT_BROKER" || c.Broker.Store.Dir != "twostage-data/store" {
		t.Errorf("without host and data: %+v %+v", c.Broker.Identity, c.Broker.Store)
	}
}

// goldenConf is what the recorded store directories were written with.
const goldenConf = `brokerClusterName=DefaultCluster
brokerName=broker-a
brokerIP1=127.0.0.1
listenPort=20911
brokerRole=ASYNC_MASTER
flushDiskType=ASYNC_FLUSH
autoCreateTopicEnable=true
mappedFileSizeCommitLog=262144
maxHashSlotNum=1000
maxIndexNum=4000
messageDelayLevel=1s 2s 3s 4s 5s 6s 7s 8s 9s 10s 20s 30s 1m 2m 5m 10m 1h 3650d
transactionCheckMax=2
flushConsumeQueueThoroughInterval=5000
fileReservedTime=720
diskMaxUsedSpaceRatio=98
waitTimeMillsInSendQueue=20000
osPageCacheBusyTimeOutMills=20000
`

func TestGoldenConfiguration(t *testing.T) {
	for name, more := range map[string]string{
		"clean":  "mappedFileSizeConsumeQueue=600\ntransactionTimeOut=6000\ntransactionCheckInterval=8000\n",
		"killed": "mapedFileSizeConsumeQueue=2000\ntransactionTimeOut=2000\ntransactionCheckInterval=3000\n",
	} {
		t.Run(name, func(t *testing.T) {
			c := mustLoad(t, brokerFile(goldenConf+more))
			b := c.Broker
			if b.Network.ListenPort != 20911 || b.Network.HAPort != 20912 || b.Network.AdvertisedIP != "127.0.0.1" {
				t.Errorf("network %+v", b.Network)
			}
			if port, ok := b.Network.VIPPort(); !ok || port != 20909 {
				t.Errorf("VIP port %d, %v", port, ok)
			}
			if len(b.Delays.Levels) != 18 || b.Delays.Levels[17] != 3650*24*time.Hour {
				t.Errorf("levels %v", b.Delays.Levels)
			}
			if b.Store.CommitLogFileSize != 262144 || b.Store.IndexSlots != 1000 || b.Store.IndexEntries != 4000 {
				t.Errorf("store %+v", b.Store)
			}
			queue, timeout := int64(600), 6*time.Second
			if name == "killed" {
				queue, timeout = 2000, 2*time.Second
			}
			if b.Store.ConsumeQueueFileSize != queue || b.Transactions.Timeout != timeout || b.Transactions.MaxChecks != 2 {
				t.Errorf("store %+v, transactions %+v", b.Store, b.Transactions)
			}
			if got, want := c.BrokerValues.Ignored(), []string{"flushConsumeQueueThoroughInterval", "osPageCacheBusyTimeOutMills"}; !reflect.DeepEqual(got, want) {
				t.Errorf("ignored %v, want %v", got, want)
			}
			if pending := c.BrokerValues.Pending(); pending != nil {
				t.Errorf("pending %v", pending)
			}
			if b.Retention.Reserved != 720*time.Hour || b.Retention.MaxUsed != 98 {
				t.Errorf("retention %+v", b.Retention)
			}
		})
	}
	wantError(t, brokerFile("filterSupportRetry=true\n"+goldenConf), "broker.conf:1: filterSupportRetry=true: filtering retried messages again is not there", "set false")
}

func TestDeleteWhen(t *testing.T) {
	for value, want := range map[string][]int{"04": {4}, "4": {4}, "00;12; 23": {0, 12, 23}, "04;": {4}, ";": nil} {
		if c := mustLoad(t, brokerFile("deleteWhen="+value)); !reflect.DeepEqual(c.Broker.Retention.Hours, want) {
			t.Errorf("deleteWhen=%s: hours %v, want %v", value, c.Broker.Retention.Hours, want)
		}
	}
}

func TestWrongValues(t *testing.T) {
	for _, c := range []struct {
		text   string
		pieces []string
	}{
		{"\nlistenPort=abc", []string{"broker.conf:2: listenPort=abc: ", "from 0 to 65535"}},
		{"listenPort=70000", []string{"listenPort=70000", "from 0 to 65535"}},
		{"listenPort=", []string{"listenPort: no value; accepted is"}},
		{"flushIntervalCommitLog=5s", []string{"flushIntervalCommitLog=5s", "whole number without unit"}},
		{"mapedFileSizeCommitLog=1G", []string{"mapedFileSizeCommitLog=1G", "from 4096 to 2147483647"}},
		{"autoCreateTopicEnable=yes", []string{"autoCreateTopicEnable=yes: accepted are true and false"}},
		{"deleteWhen=04;24", []string{"deleteWhen=04;24: accepted are hours from 00 to 23, separated by semicolons"}},
		{"deleteWhen=4am", []string{"deleteWhen=4am: accepted are hours from 00 to 23"}},
		{"diskMaxUsedSpaceRatio=101", []string{"diskMaxUsedSpaceRatio=101", "from 1 to 100"}},
		{"diskSpaceWarningLevelRatio=80", []string{"diskSpaceWarningLevelRatio=80: must not be below diskSpaceCleanForciblyRatio (85)"}},
		{"otlpTracesEndpoint=collector:4318", []string{"otlpTracesEndpoint=collector:4318", "http://HOST:PORT"}},
		{"otlpTracesEndpoint=http://u:p@collector:4318", []string{"http://HOST:PORT"}},
		{"otlpTracesHeaders=secret-without-a-name", []string{"NAME=VALUE"}},
		{"otlpTracesPerSecond=0", []string{"otlpTracesPerSecond=0"}},
		{"checkCRCOnRead=sometimes", []string{"checkCRCOnRead=sometimes: accepted are NONE, COLD, ALL"}},
		{"flushDiskType=SYNC", []string{"flushDiskType=SYNC: accepted are ASYNC_FLUSH, SYNC_FLUSH"}},
		{"sendMessageThreadPoolNums=many", []string{"sendMessageThreadPoolNums=many", "whole number"}},
		{"logicalDiskSpaceCleanForciblyThreshold=NaN", []string{"accepted is a number"}},
		{"aclEnable=1", []string{"aclEnable=1: accepted are true and false"}},
		{"messageDelayLevel=1s 5x", []string{"messageDelayLevel=1s 5x", `"5x" is not one`}},
		{"messageDelayLevel=99999999d", []string{"at most 36500d"}},
		{"messageDelayLevel=-1s", []string{`"-1s"`}},
		{"namesrvAddr=a:1;b", []string{"namesrvAddr=a:1;b", `"b" has no port`}},
		{"namesrvAddr=http://a:9876", []string{`"http://a:9876" is not one`}},
		{"namesrvAddr=a:0", []string{`"a:0" is not one`}},
		{"brokerIP1=10.0.0.1:10911", []string{"without port"}},
		{"bindAddress=10.0.0.1:10911", []string{"bindAddress=10.0.0.1:10911", "without port"}},
		{"brokerName=a b", []string{"brokerName=a b", "without blanks"}},
		{"brokerClusterName=a/b", []string{"brokerClusterName=a/b"}},
		{"storePathCommitLog=/a,/b", []string{"storePathCommitLog=/a,/b", "over several directories is not there yet"}},
		{"maxIndexNum=100000000\nmaxHashSlotNum=100000000", []string{"maxIndexNum=100000000", "below 2 GiB"}},
		{"metricsExporterType=PROMETHEUS", []string{"accepted are DISABLE and PROM"}},
		{"metricsExporterType=OTLP_GRPC", []string{"not there yet: set PROM"}},
		{"metricsExporterType=3", []string{"not there yet: set PROM"}},
		{"kvConfigPath=/x", []string{"broker.conf:1: kvConfigPath: unknown key in the broker's configuration; it is one of the name server's"}},
		{"lisenPort=1", []string{"broker.conf:1: lisenPort: unknown key; did you mean listenPort?"}},
		{"mappedFileSizeCommitlog=262144", []string{"did you mean mappedFileSizeCommitLog?"}},
		{"completelyOffTheMap=1", []string{"completelyOffTheMap: unknown key"}},
		{"listenPort=1\nlistenPort=2", []string{"broker.conf:2: listenPort=2: two values for one key: listenPort=1 (broker.conf:1)"}},
		{"mapedFileSizeCommitLog=5000\nmappedFileSizeCommitLog=6000", []string{"broker.conf:2: mappedFileSizeCommitLog=6000: ", "mapedFileSizeCommitLog=5000 (broker.conf:1)"}},
		{"mapedFileSizeConsumeQueue=600\nmappedFileSizeConsumeQueue=620", []string{"mapedFileSizeConsumeQueue=600 (broker.conf:1)"}},
		{"storePathRootDir=/s\nstorePathConsumeQueue=/fast/cq", []string{"broker.conf:2: storePathConsumeQueue=/fast/cq: ", "or set /s/consumequeue"}},
		{"a=\\u12", []string{"broker.conf: line 1", "four hex digits"}},
	} {
		t.Run(c.text, func(t *testing.T) { wantError(t, brokerFile(c.text), c.pieces...) })
	}
	_, err := Load(brokerFile("z=1\nlistenPort=x\nenableLmq=true\nbrokerRole=SLAVE"))
	if n := strings.Count(err.Error(), "\n"); n != 3 {
		t.Errorf("%d errors, want 4: %v", n+1, err)
	}
	for i, line := range strings.Split(err.Error(), "\n") {
		if want := "broker.conf:" + string(rune('1'+i)); !strings.HasPrefix(line, want) {
			t.Errorf("line %d of the error is %q, want it to begin with %q", i, line, want)
		}
	}
	var one *Error
	if !errors.As(err, &one) || one.Key != "z" || one.Source.Line != 1 {
		t.Errorf("first error %+v", one)
	}
}

func TestAcceptedForms(t *testing.T) {
	c := mustLoad(t, brokerFile(`
listenPort = 0
mapedFileSizeConsumeQueue : 601
mappedFileSizeConsumeQueue  601
autoCreateTopicEnable=FALSE
flushDiskType=SYNC_FLUSH
namesrvAddr= 10.0.0.1:9876 ; [::1]:9877; ns-2.example.org:9876 ;
brokerIP1=[fe80::1]
brokerName=
brokerId=00
registerNameServerPeriod=5
metricsExporterType=PROM
storePathRootDir=/s
storePathIndex=/s/index/
abortFile=/s/./abort
`))
	b := c.Broker
	if _, vip := b.Network.VIPPort(); vip || b.Network.HAPort != 0 || b.Network.AdvertisedIP != "fe80::1" {
		t.Errorf("network %+v", b.Network)
	}
	if b.Store.ConsumeQueueFileSize != 620 || b.Store.CommitLogDir != "/s/commitlog" {
		t.Errorf("store %+v", b.Store)
	}
	if b.Topics.AutoCreate || b.Flush.Policy != SyncFlush || b.Identity.Name != "box" || !b.Metrics.Prometheus {
		t.Errorf("%+v", b)
	}
	if want := []string{"10.0.0.1:9876", "[::1]:9877", "ns-2.example.org:9876"}; !reflect.DeepEqual(b.Registration.NameServers, want) {
		t.Errorf("name servers %v, want %v", b.Registration.NameServers, want)
	}
	if b.Registration.Period != 10*time.Second {
		t.Errorf("period %v", b.Registration.Period)
	}
	if v, _ := c.BrokerValues.Lookup("storePathIndex"); v.Text != "/s/index" {
		t.Errorf("storePathIndex %+v", v)
	}
}

func TestNamesrvFile(t *testing.T) {
	c := mustLoad(t, Sources{Role: RoleNamesrv, HostName: "box", DataDir: "/d", NamesrvFile: File{Name: "ns.conf", Text: []byte(
		"listenPort=9999\nkvConfigPath=/kv.json\norderMessageEnable=true\nhttpListenPort=8083\nclientRequestThreadPoolNums=4\nbindAddress=127.0.0.1\n")}})
	if n := c.Namesrv; n.ListenPort != 9999 || n.KVConfigPath != "/kv.json" || !n.OrderMessages || n.BindAddress != "127.0.0.1" {
		t.Errorf("%+v", n)
	}
	if want := (HTTP{BindAddress: "127.0.0.1", Port: 8083, Explicit: true}); c.HTTP != want {
		t.Errorf("http %+v", c.HTTP)
	}
	if got := c.NamesrvValues.Ignored(); !reflect.DeepEqual(got, []string{"clientRequestThreadPoolNums"}) {
		t.Errorf("ignored %v", got)
	}
	ns := func(text string) Sources { return Sources{NamesrvFile: File{Name: "ns.conf", Text: []byte(text)}} }
	wantError(t, ns("enableControllerInNamesrv=true"), "ns.conf:1: enableControllerInNamesrv=true: the controller")
	wantError(t, ns("brokerName=a"), "it is one of the broker's")
	wantError(t, ns("httpListenPort=1"), "ns.conf:1: httpListenPort=1: a process has one HTTP listener")
	wantError(t, Sources{Role: RoleBroker, NamesrvFile: File{Name: "ns.conf", Text: []byte("listenPort=1")}}, "ns.conf: this process runs no name server")
	wantError(t, Sources{Role: RoleNamesrv, Flags: map[string]string{"brokerName": "a"}}, "flag brokerName=a: this process runs no broker")
}

// TestHighestPort: there is none above it for haListenPort.
func TestHighestPort(t *testing.T) {
	c := mustLoad(t, brokerFile("listenPort=65535"))
	if n := c.Broker.Network; n.ListenPort != 65535 || n.HAPort != 0 {
		t.Errorf("network %+v", n)
	}
	if n := mustLoad(t, brokerFile("listenPort=65535\nhaListenPort=10912")).Broker.Network; n.HAPort != 10912 {
		t.Errorf("network %+v", n)
	}
}

// TestErrorSaysTheKeyOnce holds whole errors.
func TestErrorSaysTheKeyOnce(t *testing.T) {
	flags := func(kv ...string) Sources {
		s := Sources{Flags: map[string]string{}}
		for i := 0; i < len(kv); i += 2 {
			s.Flags[kv[i]] = kv[i+1]
		}
		return s
	}
	for want, s := range map[string]Sources{
		"flag enableLmq=true: light message queues are not there yet; remove the key or set false":      flags("enableLmq", "true"),
		"flag lisenPort: unknown key; did you mean listenPort?":                                         flags("lisenPort", "1"),
		`flag initAuthenticationUser=******: accepted is {"username":"NAME","password":"SECRET"}`:       flags("initAuthenticationUser", "x"),
		"flag listenPort: no value; accepted is a whole number without unit from 0 to 65535":            flags("listenPort", ""),
		"flag mappedFileSizeCommitLog=6000: two values for one key: mapedFileSizeCommitLog=5000 (flag)": flags("mapedFileSizeCommitLog", "5000", "mappedFileSizeCommitLog", "6000"),
		"TWOSTAGE_DATA: no key has this name":                                                           {Environment: []string{"TWOSTAGE_DATA=/d"}},
		"TWOSTAGE_LISTENPORT: listenPort=x: accepted is a whole number without unit from 0 to 65535":    {Environment: []string{"TWOSTAGE_LISTENPORT=x"}},
		"a.conf:2: listenPort=2: two values for one key: listenPort=1 (a.conf:1)":                       {BrokerFile: File{Name: "a.conf", Text: []byte("listenPort=1\nlistenPort=2")}},
	} {
		if _, err := Load(s); err == nil || err.Error() != want {
			t.Errorf("error %q, want %q", err, want)
		}
	}
}

func TestReadFile(t *testing.T) {
	if _, err := ReadFile(filepath.Join(t.TempDir(), "none.conf")); err == nil || !strings.Contains(err.Error(), "none.conf") {
		t.Errorf("error %v", err)
	}
	f, err := ReadFile("testdata/rocketmq-keys.txt")
	if err != nil || len(f.Text) == 0 {
		t.Fatal(err)
	}
	wantError(t, Sources{BrokerFile: File{Name: "big", Text: make([]byte, MaxFileSize+1)}}, "big: ", "at most")
}

// A broker of RocketMQ 4.9.8 wrote the file when one of its keys was changed at
// run time: it has all that it knows.
func TestLoadWhatABrokerWrote(t *testing.T) {
	f, err := ReadFile("testdata/broker-written-by-4.9.8.conf")
	if err != nil {
		t.Fatal(err)
	}
	c := mustLoad(t, Sources{HostName: "box", BrokerFile: f})
	if c.Broker.Identity.Name != "broker-a" {
		t.Errorf("broker %q", c.Broker.Identity.Name)
	}
	if n := strings.Count(string(f.Text), "="); n < 178 {
		t.Errorf("%d keys in the file", n)
	}
}

func BenchmarkLoad(b *testing.B) {
	b.ReportAllocs()
	s := brokerFile(goldenConf)
	for b.Loop() {
		if _, err := Load(s); err != nil {
			b.Fatal(err)
		}
	}
}
