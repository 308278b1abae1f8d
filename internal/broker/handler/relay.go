// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package handler

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/twostage/twostage/internal/remoting"
	"github.com/twostage/twostage/internal/session"
	"github.com/twostage/twostage/internal/store"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/internal/wire/header"
	"github.com/twostage/twostage/message"
)

const (
	// versionTakesRelay is V3_1_8_SNAPSHOT, from which clients take what is relayed.
	versionTakesRelay = 62
	// relayTimeout is how long a client may take to answer what is relayed to it.
	relayTimeout = 10 * time.Second
	// statusTimeout is the same for GET_CONSUMER_STATUS_FROM_CLIENT.
	statusTimeout = 5 * time.Second
)

// invoker is a connection that takes requests from the broker; *remoting.Conn is
// one.
type invoker interface {
	Invoke(ctx context.Context, req *wire.Request) (*wire.Command, error)
}

// Members finds members of consumer groups.
type Members interface {
	Consumer(group, clientID string) (session.Client, bool)
	Consumers(group string) (session.Group, bool)
}

// RecordLog finds records by their place in the log.
type RecordLog interface {
	Record(physicalOffset int64) (rec []byte, release func(), err error)
}

// Relay serves what is asked of a client through the broker:
// GET_CONSUMER_RUNNING_INFO, CONSUME_MESSAGE_DIRECTLY and
// INVOKE_BROKER_TO_GET_CONSUMER_STATUS. The client's answer goes back as it is.
//
// Its handlers wait for clients, so their lane must have a worker for each
// request that may be under way.
type Relay struct {
	Members Members
	Log     RecordLog
	Topics  Topics
	Groups  KnownGroups
	Broker  string // its name
	MayRead MayRead
}

// RunningInfo serves GET_CONSUMER_RUNNING_INFO.
func (l *Relay) RunningInfo(r *remoting.Request) {
	var h header.RunningInfoRequest
	if decode(r, &h) {
		l.relay(r, h.ConsumerGroup, h.ClientID, r.Ext, r.Body)
	}
}

// ConsumeDirectly serves CONSUME_MESSAGE_DIRECTLY: the client consumes a stored
// message at once, whatever its offsets are.
func (l *Relay) ConsumeDirectly(r *remoting.Request) {
	var h header.ConsumeDirectlyRequest
	if !decode(r, &h) {
		return
	}
	_, at, err := message.ParseOffsetID(h.MsgID)
	if err != nil {
		fail(r, wire.SystemError, "msgId %q is no offset id of a stored message: %s", h.MsgID, err)
		return
	}
	rec, release, err := l.Log.Record(at)
	switch {
	case errors.Is(err, store.ErrNotFound):
		fail(r, wire.SystemError, "can not find message by the msgId %s (offset %d): it may have been deleted", h.MsgID, at)
		return
	case err != nil:
		fail(r, wire.SystemError, "%s", err)
		return
	}
	defer release()
	if !l.MayRead.allowsStored(r, rec) {
		return
	}
	fields := replaceField(r.Ext, "brokerName", l.Broker)
	if r.Version >= wire.VersionV500 { // what brokers of that age add
		if t, ok := l.Topics.Get(h.Topic); ok {
			fields = replaceField(fields, "topicSysFlag", strconv.Itoa(int(t.TopicSysFlag)))
		}
		if g, ok := l.Groups.Get(h.ConsumerGroup); ok {
			fields = replaceField(fields, "groupSysFlag", strconv.Itoa(int(g.GroupSysFlag)))
		}
	}
	l.relay(r, h.ConsumerGroup, h.ClientID, fields, rec)
}

// relay asks a member of a group and answers what it answers. The signature of whoever
// asks stays here: another request could be cut from the bytes that it is over.
func (l *Relay) relay(r *remoting.Request, group, id string, fields wire.Fields, text []byte) {
	c, ok := l.Members.Consumer(group, id)
	if !ok {
		fail(r, wire.SystemError, "The Consumer <%s> <%s> not online", group, id)
		return
	}
	if c.Version < versionTakesRelay {
		fail(r, wire.SystemError, "The Consumer <%s> Version <%d> too low to finish, please upgrade it to V3_1_8_SNAPSHOT", id, c.Version)
		return
	}
	cmd, err := ask(&c, &wire.Request{Code: r.Code, Fields: unsigned(fields), Body: text}, relayTimeout)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		fail(r, wire.ConsumeMsgTimeout, "consumer <%s> <%s> Timeout: it gave no answer within %v", group, id, relayTimeout)
	case err != nil:
		fail(r, wire.SystemError, "invoke consumer <%s> <%s> Exception: %s", group, id, err)
	default:
		resp := &wire.Response{Code: cmd.Code, Remark: string(cmd.Remark), Body: cmd.Body}
		if cmd.HasExt || len(cmd.Ext) > 0 {
			resp.Header = relayed(cmd.Ext)
		}
		r.Reply(resp)
	}
}

// Status serves INVOKE_BROKER_TO_GET_CONSUMER_STATUS: what the clients of a group,
// or one of them, hold of a topic, by client id. Clients that do not answer are
// left out, as RocketMQ does.
func (l *Relay) Status(r *remoting.Request) {
	var h header.ConsumerStatusRequest
	if !decode(r, &h) {
		return
	}
	g, ok := l.Members.Consumers(h.Group)
	if !ok || len(g.Clients) == 0 {
		fail(r, wire.SystemError, "No Any Consumer online in the consumer group: [%s]", h.Group)
		return
	}
	clients := slices.DeleteFunc(g.Clients, func(c session.Client) bool { return h.ClientAddr != "" && h.ClientAddr != c.ID })
	for _, c := range clients {
		if c.Version < versionTakesReset {
			fail(r, wire.SystemError, "the client does not support this feature. version=%d, client %s", c.Version, c.ID)
			return
		}
	}
	succeedBody(r, &body.GetConsumerStatusBody{
		MessageQueueTable: map[body.MessageQueue]int64{}, ConsumerTable: statuses(clients, &header.ConsumerStatusRequest{Topic: h.Topic, Group: h.Group}),
	})
}

// statuses asks clients at the same time and waits for all.
func statuses(clients []session.Client, h *header.ConsumerStatusRequest) map[string]map[body.MessageQueue]int64 {
	var (
		mu    sync.Mutex
		group sync.WaitGroup
		table = map[string]map[body.MessageQueue]int64{}
	)
	for _, c := range clients {
		group.Go(func() {
			cmd, err := ask(&c, &wire.Request{Code: wire.ReqGetConsumerStatusFromClient, Header: h}, statusTimeout)
			var one body.GetConsumerStatusBody
			if err != nil || cmd.Code != wire.Success || len(cmd.Body) == 0 || body.Unmarshal(cmd.Body, &one) != nil {
				return
			}
			mu.Lock()
			defer mu.Unlock()
			table[c.ID] = one.MessageQueueTable
		})
	}
	group.Wait()
	return table
}

// ask sends a request to a client and waits for the answer.
func ask(c *session.Client, req *wire.Request, timeout time.Duration) (*wire.Command, error) {
	conn, ok := c.Conn.(invoker)
	if !ok {
		return nil, fmt.Errorf("client %s takes no requests", c.ID)
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	return conn.Invoke(ctx, req)
}

// relayed are the fields of an answer that goes back as it is.
type relayed wire.Fields

// EncodeExt writes the fields.
func (f relayed) EncodeExt(w *wire.ExtWriter) {
	for i := range f {
		w.Bytes(string(f[i].Key), f[i].Value)
	}
}

// unsigned gives the fields without those that a sender proves itself with.
func unsigned(fields wire.Fields) wire.Fields {
	out := make(wire.Fields, 0, len(fields))
	for _, f := range fields {
		switch string(f.Key) {
		case "AccessKey", "Signature", "SecurityToken":
		default:
			out = append(out, f)
		}
	}
	return out
}

// replaceField gives the fields with one set.
func replaceField(fields wire.Fields, name, value string) wire.Fields {
	out := make(wire.Fields, 0, len(fields)+1)
	for _, f := range fields {
		if !bytes.Equal(f.Key, []byte(name)) {
			out = append(out, f)
		}
	}
	return append(out, wire.Field{Key: []byte(name), Value: []byte(value)})
}
