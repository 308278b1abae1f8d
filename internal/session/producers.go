// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package session

import (
	"maps"
	"slices"
)

// producers is a producer group with at least one member.
type producers struct {
	members members
	next    int // of order, for PickProducer
}

// RegisterProducer makes the client a member of the group, or notes that it is
// still there. It must have a Conn.
func (r *Registry) RegisterProducer(client Client, group string) {
	c := client.Conn
	client.LastSeen = r.cfg.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	g := r.producers[group]
	if g != nil {
		if old := g.members.find(c); old != nil {
			if old.ID != client.ID || old.AccessKey != client.AccessKey {
				r.unname(old)
				r.name(&client)
			}
			*old = client
			return
		}
	}
	p := r.admit(c, group)
	if p == nil {
		return
	}
	if g == nil {
		g = &producers{members: newMembers()}
		r.producers[group] = g
	}
	p.produces[group] = struct{}{}
	g.members.add(&client)
	r.name(&client)
	r.cfg.Logger.Info("new producer", "group", group, "client", client.ID, "address", c.RemoteAddr())
}

// leaveProducers takes a member out; r.mu is held.
func (r *Registry) leaveProducers(c Conn, group string) {
	g := r.producers[group]
	if g == nil {
		return
	}
	old, ok := g.members.remove(c)
	if !ok {
		return
	}
	r.unname(old)
	if len(g.members.order) == 0 {
		delete(r.producers, group)
	}
	p := r.peers[c]
	delete(p.produces, group)
	r.forget(c, p)
	r.cfg.Logger.Info("producer gone", "group", group, "client", old.ID, "address", c.RemoteAddr())
}

// Producers is the members of a producer group, nil when there is none.
func (r *Registry) Producers(group string) []Client {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if g := r.producers[group]; g != nil {
		return g.members.clients()
	}
	return nil
}

// ProducerGroups names the producer groups, sorted.
func (r *Registry) ProducerGroups() []string {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return slices.Sorted(maps.Keys(r.producers))
}

// PickProducer gives the connections of a producer group in turn, only those that
// are open, and that may be picked; nil: all may. Each call gives the next, so a caller
// whose push fails calls again. may is called under the registry's lock.
func (r *Registry) PickProducer(group string, may func(*Client) bool) (Conn, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	g := r.producers[group]
	if g == nil {
		return nil, false
	}
	for range g.members.order {
		g.next %= len(g.members.order)
		c := g.members.order[g.next]
		g.next++
		select {
		case <-c.Conn.Closed():
		default:
			if may == nil || may(c) {
				return c.Conn, true
			}
		}
	}
	return nil, false
}
