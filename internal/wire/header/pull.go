// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package header

import "github.com/twostage/twostage/internal/wire"

// The bits of PullRequest.SysFlag.
const (
	PullCommitOffset int32 = 1 << iota // CommitOffset is to be stored
	PullSuspend                        // hold the request while there is nothing
	PullSubscription                   // Subscription counts, not the heartbeat's
	PullClassFilter
	PullLite // the client is a lite pull consumer
)

// PullRequest is the header of PULL_MESSAGE and LITE_PULL_MESSAGE. Its slices
// alias the command.
type PullRequest struct {
	ConsumerGroup        []byte
	Topic                []byte
	QueueID              int32
	QueueOffset          int64
	MaxMsgNums           int32
	SysFlag              int32
	CommitOffset         int64
	SuspendTimeoutMillis int64
	Subscription         []byte // nil when absent
	SubVersion           int64
	ExpressionType       []byte // TAG or SQL92; nil when absent
	MaxMsgBytes          int32  // 0 when absent; 5.x
}

// pullRequired are the required fields in the order of their bits.
var pullRequired = [...]string{
	"consumerGroup", "topic", "queueId", "queueOffset", "maxMsgNums", "sysFlag",
	"commitOffset", "suspendTimeoutMillis", "subVersion",
}

// DecodeExt reads the fields.
func (h *PullRequest) DecodeExt(f wire.Fields) error {
	*h = PullRequest{}
	c := reading("PullRequest", nil)
	var seen uint32
	for i := range f {
		v := f[i].Value
		switch string(f[i].Key) {
		case "consumerGroup":
			h.ConsumerGroup = v
			seen |= 1
		case "topic":
			h.Topic = v
			seen |= 1 << 1
		case "queueId":
			seen |= c.setI32("queueId", v, &h.QueueID, 1<<2)
		case "queueOffset":
			seen |= c.setI64("queueOffset", v, &h.QueueOffset, 1<<3)
		case "maxMsgNums":
			seen |= c.setI32("maxMsgNums", v, &h.MaxMsgNums, 1<<4)
		case "sysFlag":
			seen |= c.setI32("sysFlag", v, &h.SysFlag, 1<<5)
		case "commitOffset":
			seen |= c.setI64("commitOffset", v, &h.CommitOffset, 1<<6)
		case "suspendTimeoutMillis":
			seen |= c.setI64("suspendTimeoutMillis", v, &h.SuspendTimeoutMillis, 1<<7)
		case "subVersion":
			seen |= c.setI64("subVersion", v, &h.SubVersion, 1<<8)
		case "subscription":
			h.Subscription = v
		case "expressionType":
			h.ExpressionType = v
		case "maxMsgBytes":
			c.setI32("maxMsgBytes", v, &h.MaxMsgBytes, 0)
		}
	}
	c.require(seen, pullRequired[:]...)
	return c.err
}

// EncodeExt writes the fields.
func (h *PullRequest) EncodeExt(w *wire.ExtWriter) {
	w.Bytes("consumerGroup", h.ConsumerGroup)
	w.Bytes("topic", h.Topic)
	w.Int32("queueId", h.QueueID)
	w.Int64("queueOffset", h.QueueOffset)
	w.Int32("maxMsgNums", h.MaxMsgNums)
	w.Int32("sysFlag", h.SysFlag)
	w.Int64("commitOffset", h.CommitOffset)
	w.Int64("suspendTimeoutMillis", h.SuspendTimeoutMillis)
	if h.Subscription != nil {
		w.Bytes("subscription", h.Subscription)
	}
	w.Int64("subVersion", h.SubVersion)
	if h.ExpressionType != nil {
		w.Bytes("expressionType", h.ExpressionType)
	}
	if h.MaxMsgBytes != 0 {
		w.Int32("maxMsgBytes", h.MaxMsgBytes)
	}
}

// PullResponse is the header of the answer to a pull. The fields from
// OffsetDelta on are of 5.x and left out when 0.
type PullResponse struct {
	SuggestWhichBrokerID int64 // 0: the master
	NextBeginOffset      int64
	MinOffset            int64
	MaxOffset            int64
	OffsetDelta          int64
	TopicSysFlag         int32
	GroupSysFlag         int32
	ForbiddenType        int32
}

// DecodeExt reads the fields.
func (h *PullResponse) DecodeExt(f wire.Fields) error {
	*h = PullResponse{}
	c := reading("PullResponse", nil)
	var seen uint32
	for i := range f {
		v := f[i].Value
		switch string(f[i].Key) {
		case "suggestWhichBrokerId":
			seen |= c.setI64("suggestWhichBrokerId", v, &h.SuggestWhichBrokerID, 1)
		case "nextBeginOffset":
			seen |= c.setI64("nextBeginOffset", v, &h.NextBeginOffset, 2)
		case "minOffset":
			seen |= c.setI64("minOffset", v, &h.MinOffset, 4)
		case "maxOffset":
			seen |= c.setI64("maxOffset", v, &h.MaxOffset, 8)
		case "offsetDelta":
			c.setI64("offsetDelta", v, &h.OffsetDelta, 0)
		case "topicSysFlag":
			c.setI32("topicSysFlag", v, &h.TopicSysFlag, 0)
		case "groupSysFlag":
			c.setI32("groupSysFlag", v, &h.GroupSysFlag, 0)
		case "forbiddenType":
			c.setI32("forbiddenType", v, &h.ForbiddenType, 0)
		}
	}
	c.require(seen, "suggestWhichBrokerId", "nextBeginOffset", "minOffset", "maxOffset")
	return c.err
}

// EncodeExt writes the fields.
func (h *PullResponse) EncodeExt(w *wire.ExtWriter) {
	w.Int64("suggestWhichBrokerId", h.SuggestWhichBrokerID)
	w.Int64("nextBeginOffset", h.NextBeginOffset)
	w.Int64("minOffset", h.MinOffset)
	w.Int64("maxOffset", h.MaxOffset)
	if h.OffsetDelta != 0 {
		w.Int64("offsetDelta", h.OffsetDelta)
	}
	if h.TopicSysFlag != 0 {
		w.Int32("topicSysFlag", h.TopicSysFlag)
	}
	if h.GroupSysFlag != 0 {
		w.Int32("groupSysFlag", h.GroupSysFlag)
	}
	if h.ForbiddenType != 0 {
		w.Int32("forbiddenType", h.ForbiddenType)
	}
}
