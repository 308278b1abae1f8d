// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package session

import (
	"maps"
	"slices"
	"time"

	"github.com/twostage/twostage/internal/wire/body"
)

// consumers is a consumer group with at least one member.
type consumers struct {
	members members
	info    ConsumerInfo
	topics  map[string]*body.SubscriptionData // values are replaced, never changed
	stances []*stance                         // what its members want, each; one when they agree
	said    *stance                           // what topics is: the member's that said it last

	reporting time.Time // since when reported conflicts are counted
	reported  int
}

// Group is a consumer group at one time. Its slice and map are the caller's, what
// the subscriptions point to is not.
type Group struct {
	Info          ConsumerInfo
	Subscriptions map[string]body.SubscriptionData // by topic
	Clients       []Client                         // in the order they came
}

// RegisterConsumer makes the client, which must have a Conn, a member of the
// group, or notes that it is still there, and merges what it says of the group
// and its subscriptions. It reports whether the group has a new member, or other
// topics than before, and OnChange is told if info.Notify; a newer subscription
// to the same topic is no change. The slice subs is not kept, what its elements
// point to is.
func (r *Registry) RegisterConsumer(client Client, group string, info ConsumerInfo, subs []body.SubscriptionData) (changed bool) {
	client.LastSeen = r.cfg.Now()
	r.mu.Lock()
	due, found, changed := r.joinConsumers(&client, group, info, subs)
	r.mu.Unlock()
	r.report(group, found)
	r.tell(due)
	return changed
}

// KeepConsumer is RegisterConsumer for a heartbeat that leaves the subscriptions
// out (V2 of RocketMQ 5): the group's stay as they are. It reports whether they are
// those that the client has said, with this fingerprint and on this connection; if
// not, it must say them again.
func (r *Registry) KeepConsumer(client Client, group string, info ConsumerInfo) (known bool) {
	client.LastSeen = r.cfg.Now()
	fingerprint := client.Fingerprint
	r.mu.Lock()
	var due []notice
	g, c, changed := r.member(&client, group, info)
	if c != nil {
		known = !changed && c.stance != nil && c.stance == g.said && c.Fingerprint == fingerprint && fingerprint != 0
		due = g.notices(group, changed)
	}
	r.mu.Unlock()
	r.tell(due)
	return known
}

// joinConsumers does the work of RegisterConsumer; r.mu is held.
func (r *Registry) joinConsumers(client *Client, group string, info ConsumerInfo, subs []body.SubscriptionData) (due []notice, found report, changed bool) {
	fingerprint := client.Fingerprint
	g, c, changed := r.member(client, group, info)
	if c == nil {
		return nil, found, false
	}
	c.Fingerprint = fingerprint
	found = g.compare(c, subs)
	g.said = c.stance
	if r.merge(g, group, subs) {
		changed = true
	}
	return g.notices(group, changed), found, changed
}

// member makes the client a member of the group, or notes that it is still there,
// with the subscriptions and the fingerprint that it had. It is nil when the
// connection is closed, and changed when it is new or has another id; r.mu is held.
func (r *Registry) member(client *Client, group string, info ConsumerInfo) (g *consumers, c *Client, changed bool) {
	conn := client.Conn
	g = r.consumers[group]
	if g != nil {
		c = g.members.find(conn)
	}
	if c != nil {
		if changed = c.ID != client.ID; changed {
			r.cfg.Logger.Warn("a consumer's connection has got another client id", "group", group, "old", c.ID, "new", client.ID)
		}
		client.stance, client.Fingerprint = c.stance, c.Fingerprint
		*c = *client
	} else {
		p := r.admit(conn, group)
		if p == nil {
			return nil, nil, false
		}
		if g == nil {
			g = &consumers{members: newMembers(), topics: map[string]*body.SubscriptionData{}}
			r.consumers[group] = g
		}
		p.consumes[group] = struct{}{}
		client.Fingerprint = 0
		g.members.add(client)
		c, changed = client, true
		r.cfg.Logger.Info("new consumer", "group", group, "client", client.ID, "address", conn.RemoteAddr(), "model", info.MessageModel)
	}
	g.info = info
	return g, c, changed
}

// notices is what the members are to be told of a change.
func (g *consumers) notices(group string, changed bool) []notice {
	if !changed || !g.info.Notify {
		return nil
	}
	return []notice{{group, g.members.conns()}}
}

// merge applies a member's subscriptions to its group's and reports whether the
// group has other topics now; r.mu is held.
func (r *Registry) merge(g *consumers, group string, subs []body.SubscriptionData) (changed bool) {
	named := make(map[string]bool, len(subs))
	for i := range subs {
		sub := &subs[i]
		named[sub.Topic] = true
		old := g.topics[sub.Topic]
		if old == nil {
			changed = true
			r.cfg.Logger.Info("new subscription", "group", group, "topic", sub.Topic, "expression", sub.SubString)
		}
		if old == nil || sub.SubVersion > old.SubVersion {
			g.topics[sub.Topic] = new(*sub)
		}
	}
	for topic := range g.topics {
		if !named[topic] {
			changed = true
			delete(g.topics, topic)
			r.cfg.Logger.Warn("subscription gone: a member no longer has it", "group", group, "topic", topic)
		}
	}
	return changed
}

// leaveConsumers takes a member out and adds the notice that is due, in any case
// if the member was lost; r.mu is held.
func (r *Registry) leaveConsumers(due []notice, c Conn, group string, lost bool) []notice {
	g := r.consumers[group]
	if g == nil {
		return due
	}
	old, ok := g.members.remove(c)
	if !ok {
		return due
	}
	g.unnote(old)
	if len(g.members.order) == 0 {
		delete(r.consumers, group)
	}
	p := r.peers[c]
	delete(p.consumes, group)
	r.forget(c, p)
	r.cfg.Logger.Info("consumer gone", "group", group, "client", old.ID, "address", c.RemoteAddr())
	if !lost && !g.info.Notify {
		return due
	}
	return append(due, notice{group, g.members.conns()})
}

// ConsumerIDs is the client ids of a group, sorted; nil when there is none. An id
// with two connections, as after a reconnect that the broker saw first, is there
// once: clients share the queues out by this list.
func (r *Registry) ConsumerIDs(group string) []string {
	r.mu.RLock()
	defer r.mu.RUnlock()
	g := r.consumers[group]
	if g == nil {
		return nil
	}
	ids := make([]string, len(g.members.order))
	for i, c := range g.members.order {
		ids[i] = c.ID
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// Consumers is a consumer group as it is now, false when it has no member.
func (r *Registry) Consumers(group string) (Group, bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	g := r.consumers[group]
	if g == nil {
		return Group{}, false
	}
	subs := make(map[string]body.SubscriptionData, len(g.topics))
	for topic, sub := range g.topics {
		subs[topic] = *sub
	}
	return Group{Info: g.info, Subscriptions: subs, Clients: g.members.clients()}, true
}

// ConsumerClients is the members of a consumer group, and how they consume: what
// Consumers gives without the subscriptions, which may be many.
func (r *Registry) ConsumerClients(group string) ([]Client, body.ConsumeType) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if g := r.consumers[group]; g != nil {
		return g.members.clients(), g.info.ConsumeType
	}
	return nil, ""
}

// Consumer finds the member of a group with a client id, the one that came last
// if there are several.
func (r *Registry) Consumer(group, clientID string) (Client, bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if g := r.consumers[group]; g != nil {
		for _, c := range slices.Backward(g.members.order) {
			if c.ID == clientID {
				return *c, true
			}
		}
	}
	return Client{}, false
}

// Subscription is a group's subscription to a topic, nil if it has none; online
// tells whether the group has a member at all, broadcast whether its members
// broadcast. It does not allocate; what sub points to must not be changed.
func (r *Registry) Subscription(group, topic string) (sub *body.SubscriptionData, online, broadcast bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	g := r.consumers[group]
	if g == nil {
		return nil, false, false
	}
	return g.topics[topic], true, g.info.MessageModel == body.Broadcasting
}

// ConsumerGroups names the consumer groups, sorted.
func (r *Registry) ConsumerGroups() []string {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return slices.Sorted(maps.Keys(r.consumers))
}

// Subscribers names the consumer groups that subscribe to a topic, sorted.
func (r *Registry) Subscribers(topic string) []string {
	r.mu.RLock()
	defer r.mu.RUnlock()
	var groups []string
	for name, g := range r.consumers {
		if _, ok := g.topics[topic]; ok {
			groups = append(groups, name)
		}
	}
	slices.Sort(groups)
	return groups
}
