// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package handler

import (
	"errors"
	"log/slog"
	"strings"
	"sync"

	"github.com/twostage/twostage/internal/config"
	"github.com/twostage/twostage/internal/remoting"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/internal/wire/header"
)

// LiveConfig is a configuration whose keys can be asked for and some of which change.
type LiveConfig interface {
	Values() (config.Values, int64)
	Update(text []byte) (config.Change, error)
}

// Config serves GET_BROKER_CONFIG and UPDATE_BROKER_CONFIG. NewConfig makes one.
type Config struct {
	live      LiveConfig
	nowMillis func() int64
	logger    *slog.Logger

	mu      sync.Mutex
	changed int64 // when it changed last, milliseconds
}

// NewConfig returns a Config of what was started now.
func NewConfig(live LiveConfig, nowMillis func() int64, logger *slog.Logger) *Config {
	return &Config{live: live, nowMillis: nowMillis, logger: logger, changed: nowMillis()}
}

// Get serves GET_BROKER_CONFIG: all keys that have a value, secrets as asterisks.
func (c *Config) Get(r *remoting.Request) {
	c.mu.Lock()
	values, changes := c.live.Values()
	version := body.DataVersion{Counter: changes, Timestamp: c.changed}
	c.mu.Unlock()
	r.Reply(&wire.Response{
		Code: wire.Success, Header: &header.BrokerConfigResponse{Version: string(body.Marshal(&version))}, Body: values.AppendProperties(nil),
	})
}

// Update serves UPDATE_BROKER_CONFIG: all keys or none. It is answered when the change
// is in the configuration file, where there is one, and in force.
func (c *Config) Update(r *remoting.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	change, err := c.live.Update(r.Body)
	if len(change.Keys) > 0 {
		c.changed = c.nowMillis()
		c.logger.Warn("configuration changed by request", "keys", strings.Join(change.Keys, ","), "client", r.Conn.RemoteAddr(), "note", change.Note)
	}
	switch {
	case errors.Is(err, config.ErrFixed):
		c.logger.Warn("a change of the configuration was refused", "client", r.Conn.RemoteAddr(), "error", err)
		fail(r, wire.NoPermission, "%s", config.Refusal(err))
	case len(change.Keys) > 0 && err != nil:
		fail(r, wire.SystemError, "%s", err)
	case errors.Is(err, config.ErrNotWritten):
		fail(r, wire.SystemError, "%s", config.Refusal(err))
	case err != nil:
		fail(r, wire.InvalidParameter, "%s", config.Refusal(err))
	default:
		r.Reply(&wire.Response{Code: wire.Success, Remark: change.Note})
	}
}
