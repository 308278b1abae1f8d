// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package deploy

import (
	"context"
	"fmt"
	"os/exec"
)

// small are keys of servers of tests: their files take little room, their ports are
// free ones, and nothing that a directory holds expires within ten years.
var small = []string{
	"listenPort=0", "httpListenPort=0", "bindAddress=127.0.0.1", "brokerIP1=127.0.0.1", "brokerName=broker-a", "mappedFileSizeCommitLog=1048576",
	"mappedFileSizeConsumeQueue=6000", "maxHashSlotNum=1000", "maxIndexNum=4000", "mappedFileSizeTimerLog=52000", "fileReservedTime=87600",
}

// all runs everything in one process.
func all(data string, keys ...string) []string {
	return with([]string{"server", "--data", data, "--namesrv-set", "listenPort=0", "--namesrv-set", "bindAddress=127.0.0.1"}, append(small, keys...))
}

// broker runs a broker alone.
func broker(data, name, namesrv string, keys ...string) []string {
	return with([]string{"server", "--role", "broker", "--data", data, "--namesrv", namesrv}, append(append(small[:len(small):len(small)], keys...), "brokerName="+name))
}

// with appends keys as flags; a later one replaces an earlier one.
func with(args, keys []string) []string {
	value := map[string]string{}
	var order []string
	for _, kv := range keys {
		for i := range kv {
			if kv[i] == '=' {
				if _, ok := value[kv[:i]]; !ok {
					order = append(order, kv[:i])
				}
				value[kv[:i]] = kv[i+1:]
				break
			}
		}
	}
	for _, k := range order {
		args = append(args, "--set", fmt.Sprintf("%s=%s", k, value[k]))
	}
	return args
}

// follow runs `topic tail --follow` until ctx ends.
func follow(ctx context.Context, binary, namesrv string) error {
	return exec.CommandContext(ctx, binary, "topic", "tail", "orders", "--follow", "--namesrv", namesrv).Run()
}
