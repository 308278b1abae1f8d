// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package handler

import (
	"strings"

	"github.com/twostage/twostage/internal/broker/topic"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/internal/wire/header"
	"github.com/twostage/twostage/message"
)

// wrongType says what is wrong with the type of the messages of a send, "" when
// their topic takes them. Retries keep the properties of what they repeat, so
// their topics have no type.
func wrongType(t *body.TopicConfig, h *header.SendRequest, sent []byte) string {
	if topic.TakesAll(t) || strings.HasPrefix(t.TopicName, message.RetryPrefix) || strings.HasPrefix(t.TopicName, message.DLQPrefix) {
		return ""
	}
	wrong := ""
	look := func(kind string) {
		if !topic.Takes(t, kind) {
			wrong = kind
		}
	}
	shared := topic.MessageType(h.Properties)
	if !h.Batch {
		look(shared)
	} else {
		// A body that can't be read is refused later, with the reason.
		_ = message.RangeBatch(sent, func(_ int32, _, props []byte) error {
			kind := topic.MessageType(props)
			if kind == topic.TypeNormal {
				kind = shared
			}
			look(kind)
			return nil
		})
	}
	if wrong == "" {
		return ""
	}
	return "topic " + t.TopicName + " takes messages of type " + t.Attributes[topic.AttributeMessageType] + ", this one is " + wrong +
		": send it to another topic, or change the topic's attribute " + topic.AttributeMessageType + " (enableTopicMessageTypeCheck)"
}
