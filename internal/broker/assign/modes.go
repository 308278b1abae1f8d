// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package assign

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"strings"

	"github.com/twostage/twostage/internal/vfs"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/message"
)

// ErrMode: a request mode that can't be set.
var ErrMode = errors.New("bad request mode")

// ErrRetryTopic: a group's retry topic is pulled, whatever is asked for.
var ErrRetryTopic = errors.New("retry topic is not allowed to set mode")

// modes are request modes by topic and group. A table is not changed once it is
// published.
type modes map[string]map[string]body.RequestModeConfig

func (s *Service) readModes() error {
	data, backup, err := vfs.ReadConfigFile(s.cfg.FS, s.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("request modes: %w", err)
	}
	var t body.RequestModeTable
	if err := body.Unmarshal(data, &t); err != nil {
		return fmt.Errorf("request modes: %s: %w (mend the file, or put %s.bak in its place)", s.path, err, s.path)
	}
	if backup {
		s.cfg.Logger.Warn("messageRequestMode.json was missing or blank, its backup is used", "file", s.path)
	}
	for topic, groups := range t.MessageRequestModeMap {
		for group, c := range groups {
			if c.Mode == "" { // Java's default, should it ever leave it out
				c.Mode = body.RequestPull
			}
			if err := checkMode(c.Mode); err != nil {
				return fmt.Errorf("request modes: %s: topic %s, group %s: %w", s.path, topic, group, err)
			}
			c.Topic, c.ConsumerGroup = topic, group
			groups[group] = c
		}
	}
	s.modes = t.MessageRequestModeMap
	return nil
}

func checkMode(m body.RequestMode) error {
	if m != body.RequestPull && m != body.RequestPop {
		return fmt.Errorf("%w %q: it is PULL or POP", ErrMode, string(m))
	}
	return nil
}

// SetMode says how a group gets the messages of a topic; without a mode it is
// PULL. It is on disk when SetMode returns nil. Errors match ErrMode or
// ErrRetryTopic, or are those of writing the file. Whether topic and group exist
// is the caller's business.
func (s *Service) SetMode(c body.RequestModeConfig) error {
	if c.Mode == "" {
		c.Mode = body.RequestPull
	}
	switch err := checkMode(c.Mode); {
	case c.Topic == "" || c.ConsumerGroup == "":
		return fmt.Errorf("%w: topic %q, consumerGroup %q: both are needed", ErrMode, c.Topic, c.ConsumerGroup)
	case err != nil:
		return err
	case strings.HasPrefix(c.Topic, message.RetryPrefix):
		return ErrRetryTopic
	}
	s.write.Lock()
	defer s.write.Unlock()
	next := modes{}
	maps.Copy(next, s.table())
	if next[c.Topic] = maps.Clone(next[c.Topic]); next[c.Topic] == nil {
		next[c.Topic] = map[string]body.RequestModeConfig{}
	}
	next[c.Topic][c.ConsumerGroup] = c
	if err := vfs.ReplaceFile(s.cfg.FS, s.path, body.MarshalConfig(&body.RequestModeTable{MessageRequestModeMap: next})); err != nil {
		return fmt.Errorf("request modes: %w", err)
	}
	s.mu.Lock()
	s.modes = next
	s.mu.Unlock()
	return nil
}

func (s *Service) table() modes {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.modes
}

// Mode is how a group gets the messages of a topic; set is false where that is the
// default.
func (s *Service) Mode(topic, group string) (c body.RequestModeConfig, set bool) {
	if c, set = s.table()[topic][group]; set {
		return c, true
	}
	c = body.RequestModeConfig{Topic: topic, ConsumerGroup: group, Mode: s.cfg.DefaultMode}
	if strings.HasPrefix(topic, message.RetryPrefix) {
		c.Mode = body.RequestPull
	}
	if c.Mode == body.RequestPop {
		c.PopShareQueueNum = s.cfg.DefaultShare
	}
	return c, false
}

// Modes is all modes that were set, by topic and group. It must not be changed.
func (s *Service) Modes() *body.RequestModeTable {
	return &body.RequestModeTable{MessageRequestModeMap: s.table()}
}
