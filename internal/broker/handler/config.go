// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package handler

import (
	"log/slog"
	"strings"

	"github.com/twostage/twostage/internal/config"
	"github.com/twostage/twostage/internal/remoting"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/internal/wire/header"
)

// LiveConfig is a configuration whose keys can be asked for and some of which change.
type LiveConfig interface {
	TimeBy(nowMillis func() int64)
	Values() (v config.Values, changes, at int64)
	Update(text []byte) (config.Change, error)
}

// Config serves GET_BROKER_CONFIG and UPDATE_BROKER_CONFIG. NewConfig makes one.
type Config struct {
	live   LiveConfig
	logger *slog.Logger
}

// NewConfig returns a Config of what was started now.
func NewConfig(live LiveConfig, nowMillis func() int64, logger *slog.Logger) *Config {
	live.TimeBy(nowMillis)
	return &Config{live: live, logger: logger}
}

// Get serves GET_BROKER_CONFIG: all keys that have a value, secrets as asterisks. It
// does not wait for a change.
func (c *Config) Get(r *remoting.Request) {
	values, changes, at := c.live.Values()
	version := body.DataVersion{Counter: changes, Timestamp: at}
	r.Reply(&wire.Response{
		Code: wire.Success, Header: &header.BrokerConfigResponse{Version: string(body.Marshal(&version))}, Body: values.AppendProperties(nil),
	})
}

// Update serves UPDATE_BROKER_CONFIG: all keys or none. It is answered when the change
// is in the configuration file, where there is one, and in force.
func (c *Config) Update(r *remoting.Request) {
	change, err := c.live.Update(r.Body)
	outcome, remark := change.Answer(err)
	switch {
	case len(change.Keys) > 0:
		c.logger.Warn("configuration changed by request", "keys", strings.Join(change.Keys, ","), "client", r.Conn.RemoteAddr(), "note", remark)
	case outcome == config.Forbidden:
		c.logger.Warn("a change of the configuration was refused", "client", r.Conn.RemoteAddr(), "error", err)
	}
	r.Reply(&wire.Response{Code: configCodes[outcome], Remark: remark})
}

var configCodes = [...]int32{config.Done: wire.Success, config.Forbidden: wire.NoPermission, config.Wrong: wire.InvalidParameter, config.Failed: wire.SystemError}
