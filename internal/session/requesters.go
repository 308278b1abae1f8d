// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package session

import "slices"

// requester is a connection on which producers with one client id are.
type requester struct {
	client Client
	groups int
}

// Producer finds the producer with a client id, in whatever groups it is: the one
// whose connection came last and is open, if there are several. A client id is its
// first one's as long as that is there: who has another access key does not take it
// over.
func (r *Registry) Producer(clientID string) (client Client, ok bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	for _, q := range r.requests[clientID] {
		select {
		case <-q.client.Conn.Closed():
		default:
			if !ok || q.client.AccessKey == client.AccessKey {
				client, ok = q.client, true
			}
		}
	}
	return client, ok
}

// name adds a member of a producer group to those of its client id; r.mu is held.
func (r *Registry) name(c *Client) {
	list := r.requests[c.ID]
	for i := range list {
		if list[i].client.Conn == c.Conn {
			list[i].client = *c
			list[i].groups++
			return
		}
	}
	r.requests[c.ID] = append(list, requester{*c, 1})
}

// unname takes a member out again; r.mu is held.
func (r *Registry) unname(c *Client) {
	list := r.requests[c.ID]
	i := slices.IndexFunc(list, func(q requester) bool { return q.client.Conn == c.Conn })
	if i < 0 {
		return
	}
	if list[i].groups--; list[i].groups > 0 {
		return
	}
	if list = slices.Delete(list, i, i+1); len(list) == 0 {
		delete(r.requests, c.ID)
		return
	}
	r.requests[c.ID] = list
}
