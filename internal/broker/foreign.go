// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/twostage/twostage/internal/vfs"
)

// consumeQueueExt is the directory to which the entries of extended consume
// queues refer. It holds no messages; their tags codes stand there.
const consumeQueueExt = "consumequeue_ext"

// foreign are files of a store directory that only a feature writes which this
// broker does not have.
var foreign = []struct{ name, feature string }{
	{consumeQueueExt, "extended consume queues (enableConsumeQueueExt)"},
	{"batchconsumequeue", "batch consume queues (topics with queue.type=BatchCQ)"},
	{"consumequeue_r", "consume queues in RocksDB (storeType=defaultRocksDB)"},
	{"rocksdbstore", "RocksDB"},
	{"compaction", "compaction topics"},
	{"kvStore", "pop in RocksDB (popConsumerKVServiceEnable)"},
	{"epochFileCheckpoint", "controller mode (enableControllerMode)"},
	{"brokerMetadata", "controller mode (enableControllerMode)"},
	{"config/metadata", "configuration in RocksDB"},
	{"config/topics", "configuration in RocksDB"},
	{"config/subscriptionGroups", "configuration in RocksDB"},
	{"config/consumerOffsets", "configuration in RocksDB"},
}

// refuseForeign is an error where the store directory holds what this broker
// can't serve.
func refuseForeign(fsys vfs.FS, dir string) error {
	names, err := fsys.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("store directory: %w", err)
	}
	for _, n := range names {
		if strings.HasPrefix(n, "dledger-") {
			return foreignError(dir, n, "DLedger (enableDLegerCommitLog)")
		}
	}
	for _, f := range foreign {
		path := filepath.Join(dir, f.name)
		_, isDir, err := fsys.Stat(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return fmt.Errorf("store directory: %w", err)
		}
		if isDir {
			if inside, err := fsys.ReadDir(path); err == nil && len(inside) == 0 {
				continue // Java makes some of them empty
			}
		}
		return foreignError(dir, f.name, f.feature)
	}
	return nil
}

func foreignError(dir, name, feature string) error {
	means := "what it holds would not be seen"
	if name == consumeQueueExt {
		means = "tag filters would miss messages; remove consumequeue and consumequeue_ext, and the next start builds the queues from the log"
	}
	return fmt.Errorf("store directory %s holds %s, which belongs to %s: that is not there yet, and %s", dir, name, feature, means)
}
