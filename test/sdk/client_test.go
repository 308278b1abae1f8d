// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package sdk

import (
	"os"
	"testing"
)

func TestClient(t *testing.T) {
	t.Parallel()
	c := &cluster{namesrv: os.Getenv(namesrvVariable)}
	if c.namesrv == "" {
		c = start(t)
	}
	for _, tc := range []struct {
		name string
		run  func(*testing.T, *cluster)
	}{
		{"Sync", testSync},
		{"Async", testAsync},
		{"Oneway", testOneway},
		{"Batch", testBatch},
		{"Compressed", testCompressed},
		{"AutoCreate", testAutoCreate},
		{"Limits", testLimits},
		{"Errors", testErrors},
		{"RequestReply", testRequestReply},
		{"Delay", testDelay},
		{"Timed", testTimed},
		{"Tags", testTags},
		{"SQL", testSQL},
		{"Retry", testRetry},
		{"Ordered", testOrdered},
		{"OrderedFails", testOrderedFails},
		{"Broadcast", testBroadcast},
		{"Start", testStart},
		{"Pause", testPause},
		{"JoinAndLeave", testJoinAndLeave},
		{"ConsumerRestart", testConsumerRestart},
		{"GracefulClose", testGracefulClose},
		{"Rewind", testRewind},
		{"RewindStopped", testRewindStopped},
		{"Assign", testAssign},
		{"PollShared", testPollShared},
		{"SeekTime", testSeekTime},
		{"Pop", testPop},
		{"PopInvisible", testPopInvisible},
		{"TxCommit", testTxCommit},
		{"TxRollback", testTxRollback},
		{"TxCheckedCommit", testTxCheckedCommit},
		{"TxCheckedRollback", testTxCheckedRollback},
		{"TxCheckedByAnother", testTxCheckedByAnother},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			tc.run(t, c)
		})
	}
}
