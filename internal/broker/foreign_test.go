// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"path"
	"testing"

	"github.com/twostage/twostage/internal/vfs"
)

// TestForeignFiles holds what an operator reads.
func TestForeignFiles(t *testing.T) {
	const unseen = "that is not there yet, and what it holds would not be seen"
	for file, want := range map[string]string{
		"consumequeue_ext/T": "consumequeue_ext, which belongs to extended consume queues (enableConsumeQueueExt): that is not there yet, and tag filters " +
			"would miss messages; remove consumequeue and consumequeue_ext, and the next start builds the queues from the log",
		"batchconsumequeue/T": "batchconsumequeue, which belongs to batch consume queues (topics with queue.type=BatchCQ): " + unseen,
		"epochFileCheckpoint": "epochFileCheckpoint, which belongs to controller mode (enableControllerMode): " + unseen,
		"config/topics/0.sst": "config/topics, which belongs to configuration in RocksDB: " + unseen,
		"dledger-n0/data":     "dledger-n0, which belongs to DLedger (enableDLegerCommitLog): " + unseen,
	} {
		fs := vfs.NewMem()
		if err := fs.MkdirAll(path.Dir("/s/" + file)); err != nil {
			t.Fatal(err)
		}
		if err := vfs.WriteFile(fs, "/s/"+file, []byte("x")); err != nil {
			t.Fatal(err)
		}
		want = "store directory /s holds " + want
		if err := refuseForeign(fs, "/s"); err == nil || err.Error() != want {
			t.Errorf("%s:\n got %v\nwant %s", file, err, want)
		}
	}
}
