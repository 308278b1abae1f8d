// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package interop

import "testing"

// TestClient runs the cases that can share a server.
func TestClient(t *testing.T) {
	t.Parallel()
	c := start(t, "--set", "listenPort=0", "--namesrv-set", "listenPort=0", "--set", "traceTopicEnable=true")
	for _, tc := range []struct {
		name string
		run  func(*testing.T, *cluster)
	}{
		{"Sync", testSync},
		{"Async", testAsync},
		{"OneWay", testOneWay},
		{"Batch", testBatch},
		{"Compressed", testCompressed},
		{"AutoCreate", testAutoCreate},
		{"TooLarge", testTooLarge},
		{"Tags", testTags},
		{"SQL92", testSQL92},
		{"LargeProperties", testLargeProperties},
		{"RequestReply", testRequestReply},
		{"Trace", testTrace},
		{"Namespaces", testNamespaces},
		{"Delay", testDelay},
		{"Timers", testTimers},
		{"Ordered", testOrdered},
		{"OrderedSuspended", testOrderedSuspended},
		{"OrderedKilled", testOrderedKilled},
		{"Retry", testRetry},
		{"RetryKilled", testRetryKilled},
		{"RewindOnline", testRewindOnline},
		{"RewindOffline", testRewindOffline},
		{"Relays", testRelays},
		{"Broadcast", testBroadcast},
		{"FromWhere", testFromWhere},
		{"PullFrom", testPullFrom},
		{"Poll", testPoll},
		{"PullTags", testPullTags},
		{"JoinAndLeave", testJoinAndLeave},
		{"ConsumerRestart", testConsumerRestart},
		{"TxCommit", testTxCommit},
		{"TxRollback", testTxRollback},
		{"TxCheckedCommit", testTxCheckedCommit},
		{"TxCheckedRollback", testTxCheckedRollback},
		{"TxCheckedByAnotherProcess", testTxCheckedByAnotherProcess},
		{"SDKAsks", testSDKAsks},
		{"SDKAnswers", testSDKAnswers},
		{"SDKShares", testSDKShares},
		{"SDKChecks", testSDKChecks},
		{"Admin", testAdmin},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			tc.run(t, c)
		})
	}
}
