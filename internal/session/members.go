// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package session

import "slices"

// members is the clients of a group: by connection, and in the order they came.
type members struct {
	by    map[Conn]*Client
	order []*Client
}

func newMembers() members { return members{by: map[Conn]*Client{}} }

func (m *members) find(c Conn) *Client { return m.by[c] }

func (m *members) add(c *Client) {
	m.by[c.Conn] = c
	m.order = append(m.order, c)
}

// remove reports whether there was such a member.
func (m *members) remove(c Conn) (*Client, bool) {
	old, ok := m.by[c]
	if !ok {
		return nil, false
	}
	delete(m.by, c)
	m.order = slices.DeleteFunc(m.order, func(o *Client) bool { return o == old })
	return old, true
}

func (m *members) clients() []Client {
	list := make([]Client, len(m.order))
	for i, c := range m.order {
		list[i] = *c
	}
	return list
}

func (m *members) conns() []Conn {
	list := make([]Conn, len(m.order))
	for i, c := range m.order {
		list[i] = c.Conn
	}
	return list
}
