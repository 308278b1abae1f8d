// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package access

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/twostage/twostage/internal/auth"
	"github.com/twostage/twostage/internal/remoting"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/message"
)

// need is what a request needs.
type need struct {
	protected bool // without access control it is taken from this machine only
	ask       func(r *remoting.Request, a *asks) error
}

// asks gathers what a request asks for.
type asks struct{ list []auth.Ask }

func (a *asks) add(actions auth.Actions, kind auth.Kind, name []byte) {
	a.list = append(a.list, auth.Ask{Actions: actions, Kind: kind, Name: name})
}

const retryPrefix = "%RETRY%"

// topic asks for a topic; a retry topic is its group's, which takes Sub. In the
// broker's own topics, which hold what is meant for others, nobody has Sub: who has
// nothing else to show needs what an administrator needs.
func (a *asks) topic(actions auth.Actions, name []byte) {
	if group, ok := bytes.CutPrefix(name, []byte(retryPrefix)); ok {
		if actions&auth.Pub != 0 {
			actions = actions&^auth.Pub | auth.Sub
		}
		a.add(actions, auth.Group, group)
		return
	}
	if actions&auth.Sub != 0 && ofTheBroker(name) {
		if actions &^= auth.Sub; actions == 0 {
			a.administer()
			return
		}
	}
	a.add(actions, auth.Topic, name)
}

// ofTheBroker says whether the topic is one in which the broker keeps what waits:
// half messages, delayed ones, and its own notes.
func ofTheBroker(topic []byte) bool {
	const most = 32 // bytes that are a string without being allocated; all but the prefix are shorter
	return bytes.HasPrefix(topic, []byte(message.RevivePrefix)) || len(topic) <= most && message.IsSendForbidden(string(topic))
}

// records asks for what a request needs that is given records of a topic.
func (a *asks) records(topic []byte) {
	if ofTheBroker(topic) {
		a.administer()
		return
	}
	a.topic(auth.Sub|auth.Get, topic)
}

// administer asks for Update on the cluster. The guard puts its name in.
func (a *asks) administer() { a.add(auth.Update, auth.Cluster, nil) }

// group asks for a group, which may be named by its retry topic.
func (a *asks) group(actions auth.Actions, name []byte) {
	a.add(actions, auth.Group, bytes.TrimPrefix(name, []byte(retryPrefix)))
}

// field gives a field that must be there.
func field(r *remoting.Request, name string) ([]byte, error) {
	v, ok := r.Ext.Get(name)
	if !ok || len(v) == 0 {
		return nil, fmt.Errorf("the request has no field %q, by which its permission is decided", name)
	}
	return v, nil
}

// signed is a request that needs no more than credentials.
func signed(*remoting.Request, *asks) error { return nil }

// topicField needs actions on the topic of a field.
func topicField(actions auth.Actions, name string) func(*remoting.Request, *asks) error {
	return func(r *remoting.Request, a *asks) error {
		v, err := field(r, name)
		if err == nil {
			a.topic(actions, v)
		}
		return err
	}
}

// groupField needs actions on the group of a field.
func groupField(actions auth.Actions, name string) func(*remoting.Request, *asks) error {
	return func(r *remoting.Request, a *asks) error {
		v, err := field(r, name)
		if err == nil {
			a.group(actions, v)
		}
		return err
	}
}

// maybe is ask for a request that may lack the field it is about: then nothing is asked.
func maybe(name string, ask func(*remoting.Request, *asks) error) func(*remoting.Request, *asks) error {
	return func(r *remoting.Request, a *asks) error {
		if v, ok := r.Ext.Get(name); !ok || len(v) == 0 {
			return nil
		}
		return ask(r, a)
	}
}

// both needs one and the other.
func both(one, other func(*remoting.Request, *asks) error) func(*remoting.Request, *asks) error {
	return func(r *remoting.Request, a *asks) error {
		if err := one(r, a); err != nil {
			return err
		}
		return other(r, a)
	}
}

// consume needs actions on topic and consumerGroup.
func consume(actions auth.Actions) func(*remoting.Request, *asks) error {
	return both(topicField(actions, "topic"), groupField(actions, "consumerGroup"))
}

// popped is consume for what says of popped messages that they are consumed: it may
// name the topic in which its own group gets them again (message.PopRetryTopics), which
// needs Sub on the topic they are of. That gives no record, so that a group whose name
// begins as another one's learns nothing of it.
func popped(r *remoting.Request, a *asks) error {
	topic, err := field(r, "topic")
	if err != nil {
		return err
	}
	group, err := field(r, "consumerGroup")
	if err != nil {
		return err
	}
	a.popped(topic, group)
	return nil
}

func (a *asks) popped(topic, group []byte) {
	of := topic
	if rest, ok := bytes.CutPrefix(topic, []byte(retryPrefix)); ok {
		if rest, ok = bytes.CutPrefix(rest, group); ok && len(rest) > 1 && (rest[0] == '_' || rest[0] == '+') {
			of = rest[1:]
		}
	}
	a.topic(auth.Sub, of)
	a.group(auth.Sub, group)
}

// queried needs what reading records of the topic needs.
func queried(r *remoting.Request, a *asks) error {
	v, err := field(r, "topic")
	if err == nil {
		a.records(v)
	}
	return err
}

// cluster needs actions on the cluster. The guard puts its name in.
func cluster(actions auth.Actions) func(*remoting.Request, *asks) error {
	return func(_ *remoting.Request, a *asks) error {
		a.add(actions, auth.Cluster, nil)
		return nil
	}
}

const replySuffix = "_REPLY_TOPIC"

// reply needs nothing for an answer to a requester, and Pub for a topic that is none
// for replies: the broker may store it there.
func reply(name string) func(*remoting.Request, *asks) error {
	return func(r *remoting.Request, a *asks) error {
		v, err := field(r, name)
		if err == nil && !bytes.HasSuffix(v, []byte(replySuffix)) {
			a.topic(auth.Pub, v)
		}
		return err
	}
}

// standInTopic is the topic whose route a producer asks for before its own exists.
const standInTopic = "TBW102"

func route(r *remoting.Request, a *asks) error {
	v, err := field(r, "topic")
	if err == nil && string(v) != standInTopic {
		a.topic(auth.Pub|auth.Sub|auth.Get, v)
	}
	return err
}

func heartbeat(r *remoting.Request, a *asks) error {
	var hb body.HeartbeatData
	if err := body.Unmarshal(r.Body, &hb); err != nil {
		return err
	}
	for _, c := range hb.ConsumerDataSet {
		a.group(auth.Sub, []byte(c.GroupName))
		for _, s := range c.SubscriptionDataSet {
			a.topic(auth.Sub, []byte(s.Topic))
		}
	}
	return nil
}

func lock(r *remoting.Request, a *asks) error {
	var b body.LockBatchRequestBody
	if err := body.Unmarshal(r.Body, &b); err != nil {
		return err
	}
	a.group(auth.Sub, []byte(b.ConsumerGroup))
	for i := range b.MqSet {
		if i == 0 || b.MqSet[i].Topic != b.MqSet[i-1].Topic {
			a.topic(auth.Sub, []byte(b.MqSet[i].Topic))
		}
	}
	return nil
}

func batchAck(r *remoting.Request, a *asks) error {
	var b body.BatchAckRequest
	if err := body.Unmarshal(r.Body, &b); err != nil {
		return err
	}
	for i := range b.Acks {
		if i == 0 || b.Acks[i].Topic != b.Acks[i-1].Topic || b.Acks[i].ConsumerGroup != b.Acks[i-1].ConsumerGroup {
			a.popped([]byte(b.Acks[i].Topic), []byte(b.Acks[i].ConsumerGroup))
		}
	}
	return nil
}

func putGroup(r *remoting.Request, a *asks) error {
	var g body.SubscriptionGroupConfig
	if err := body.Unmarshal(r.Body, &g); err != nil {
		return err
	}
	if g.GroupName == "" {
		return errors.New("the body names no group, by which its permission is decided")
	}
	a.group(auth.Create|auth.Update, []byte(g.GroupName))
	return nil
}

// viewMessage needs the topic that a client of 5.x names. Older ones name none.
var viewMessage = maybe("topic", topicField(auth.Sub|auth.Get, "topic"))

// administer needs Update on the cluster although it only reads: who there is, and
// everybody's transactions.
var administer = cluster(auth.Update)
