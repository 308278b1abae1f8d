// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package rpc

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/twostage/twostage/internal/config"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/internal/wire/header"
)

// BrokerConfig gives the configuration of a broker, by RocketMQ's names of the
// keys, and its version. Keys without a value are left out, secrets are asterisks.
func BrokerConfig(ctx context.Context, c Caller, addr string) (map[string]string, body.DataVersion, error) {
	var version body.DataVersion
	req := &wire.Request{Code: wire.ReqGetBrokerConfig}
	answer, err := invoke(ctx, c, addr, req)
	if err != nil {
		return nil, version, err
	}
	var h header.BrokerConfigResponse
	if err := readHeader(addr, req, answer, &h); err != nil {
		return nil, version, err
	}
	if err := body.Unmarshal([]byte(h.Version), &version); err != nil {
		return nil, version, unreadable(addr, req, err)
	}
	keys, err := properties(addr, req, answer)
	return keys, version, err
}

// UpdateBrokerConfig changes keys of a running broker: all of them or, when one is
// refused, none. note is what the broker adds to its success, as that a change lasts
// until its next start; it may be empty. NoPermission when a key can't change while
// the broker runs, InvalidParameter when a value is not accepted.
func UpdateBrokerConfig(ctx context.Context, c Caller, addr string, keys map[string]string) (note string, err error) {
	return updateConfig(ctx, c, addr, wire.ReqUpdateBrokerConfig, keys)
}

// NamesrvConfig gives the configuration of a name server, as BrokerConfig does.
func NamesrvConfig(ctx context.Context, c Caller, addr string) (map[string]string, error) {
	req := &wire.Request{Code: wire.ReqGetNamesrvConfig}
	answer, err := invoke(ctx, c, addr, req)
	if err != nil {
		return nil, err
	}
	return properties(addr, req, answer)
}

// UpdateNamesrvConfig changes keys of a running name server, as UpdateBrokerConfig
// does.
func UpdateNamesrvConfig(ctx context.Context, c Caller, addr string, keys map[string]string) (note string, err error) {
	return updateConfig(ctx, c, addr, wire.ReqUpdateNamesrvConfig, keys)
}

func updateConfig(ctx context.Context, c Caller, addr string, code int32, keys map[string]string) (note string, err error) {
	var text []byte
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		text = config.AppendProperty(text, key, keys[key])
	}
	answer, err := invoke(ctx, c, addr, &wire.Request{Code: code, Body: text})
	if err != nil {
		return "", err
	}
	return string(answer.Remark), nil
}

// properties reads an answer's body. Of a key that stands there twice the last one
// counts, as in Java.
func properties(addr string, req *wire.Request, answer *wire.Command) (map[string]string, error) {
	entries, err := config.ParseProperties(answer.Body)
	if err != nil {
		return nil, unreadable(addr, req, fmt.Errorf("configuration: %w", err))
	}
	keys := make(map[string]string, len(entries))
	for _, e := range entries {
		keys[e.Key] = e.Value
	}
	return keys, nil
}
