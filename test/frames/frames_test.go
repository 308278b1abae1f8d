// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package frames

import (
	"flag"
	"fmt"
	"os"
	"testing"

	"github.com/twostage/twostage/internal/wire"
)

func TestMain(m *testing.M) {
	// The cases wait more than they work: all of them side by side.
	flag.Parse()
	if err := flag.Set("test.parallel", "64"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// TestFrames runs the cases that can share a server, each in both encodings.
func TestFrames(t *testing.T) {
	t.Parallel()
	b := start(t)
	for _, tc := range []struct {
		name string
		run  func(*testing.T, *peer)
	}{
		{"PopAck", testPopAck},
		{"PopBatchAck", testPopBatchAck},
		{"PopOneQueue", testPopOneQueue},
		{"Peek", testPeek},
		{"PopFilter", testPopFilter},
		{"PopHeld", testPopHeld},
		{"PopRefused", testPopRefused},
		{"ChangeInvisible", testChangeInvisible},
		{"DeadLetter", testDeadLetter},
		{"Notification", testNotification},
		{"PopOrderly", testPopOrderly},
		{"PopOrderlyInvisible", testPopOrderlyInvisible},
		{"Assignment", testAssignment},
		{"PullToPop", testPullToPop},
		{"Timer", testTimer},
		{"TimerRefused", testTimerRefused},
		{"Recall", testRecall},
		{"LitePull", testLitePull},
		{"CheckConfig", testCheckConfig},
		{"Fingerprint", testFingerprint},
		{"SendForms", testSendForms},
		{"NewFields", testNewFields},
		{"SQLOfHeartbeat", testSQLOfHeartbeat},
		{"HostileSQL", testHostileSQL},
		{"BatchMembers", testBatchMembers},
		{"LargestProperties", testLargestProperties},
		{"MessageTypes", testMessageTypes},
		{"DelayLevels", testDelayLevels},
		{"Resend", testResend},
		{"RewindQueue", testRewindQueue},
		{"CloneOffsets", testCloneOffsets},
		{"SilentClient", testSilentClient},
		{"Conflict", testConflict},
	} {
		for _, enc := range []wire.Encoding{wire.JSON, wire.Binary} {
			t.Run(tc.name+"/"+enc.String(), func(t *testing.T) {
				t.Parallel()
				tc.run(t, b.peer(t, enc))
			})
		}
	}
}
