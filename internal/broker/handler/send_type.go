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
	if strings.HasPrefix(t.TopicName, message.RetryPrefix) || strings.HasPrefix(t.TopicName, message.DLQPrefix) {
		return ""
	}
	kind := topic.MessageType(h.Properties)
	takes := topic.Takes(t, kind)
	if h.Batch {
		takes = true
		// A body that can't be read is refused later, with the reason.
		_ = message.RangeBatch(sent, func(_ int32, _, props []byte) error {
			of := topic.MessageType(props)
			if of == topic.TypeNormal {
				of = topic.MessageType(h.Properties)
			}
			if !topic.Takes(t, of) {
				kind, takes = of, false
			}
			return nil
		})
	}
	if takes {
		return ""
	}
	return "topic " + t.TopicName + " takes messages of type " + t.Attributes[topic.AttributeMessageType] + ", this one is " + kind +
		": send it to another topic, or change the topic's attribute " + topic.AttributeMessageType + " (enableTopicMessageTypeCheck)"
}
