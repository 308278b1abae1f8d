// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package session

import (
	"cmp"
	"math/bits"
	"slices"
	"strings"
	"time"

	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/message"
)

const (
	// maxReported is how many conflicts of a group are logged in reportEvery, and
	// named in one answer: a group in which everybody differs, or changes with each
	// heartbeat, is not worth a line for each pair.
	maxReported = 16
	reportEvery = time.Minute
)

// Conflict is two members of a group that want different things of a topic. An
// expression is "" where the member does not subscribe to the topic.
type Conflict struct {
	Topic                string
	ClientID, Expression string
	OtherID, Other       string
}

// stance is what some members of a group subscribe to, all the same.
type stance struct {
	subs    []wish    // by topic, without retry topics
	said    []saying  // as the first of them said it
	members []*Client // in the order they came to it
}

// wish is a subscription to a topic, saying one in the words of a client.
type (
	wish   struct{ topic, expression string }
	saying struct{ topic, kind, text string }
)

// canonical is a subscription in a form in which equal ones are equal: tags are
// sorted, the type is named unless it is TAG.
func canonical(s *body.SubscriptionData) string {
	if kind(s) != "TAG" {
		return s.ExpressionType + ": " + strings.TrimSpace(s.SubString)
	}
	var tags []string
	for tag := range strings.SplitSeq(s.SubString, "||") {
		if tag = strings.TrimSpace(tag); tag != "" {
			tags = append(tags, tag)
		}
	}
	if len(tags) == 0 {
		return "*"
	}
	slices.Sort(tags)
	return strings.Join(slices.Compact(tags), " || ")
}

func kind(s *body.SubscriptionData) string { return cmp.Or(s.ExpressionType, "TAG") }

// repeats tells, without allocating, whether subs say word for word what st was
// said in; clients give their topics in any order. Every member's heartbeat comes
// here. Long lists are not gone through: false then only means more work.
func (st *stance) repeats(subs []body.SubscriptionData) bool {
	if len(subs) != len(st.said) || len(subs) > 64 {
		return false
	}
	var found uint64 // of said, so that none is found twice
	for i := range subs {
		s := &subs[i]
		for j := range st.said {
			if w := &st.said[j]; found&(1<<j) == 0 && w.topic == s.Topic && w.text == s.SubString && w.kind == kind(s) {
				found |= 1 << j
				break
			}
		}
		if bits.OnesCount64(found) != i+1 {
			return false
		}
	}
	return true
}

// report is what is to be logged of a group's conflicts.
type report struct {
	conflicts []Conflict
	more      bool // further ones are left out from now on
}

// compare notes what a member subscribes to, and returns what is to be logged of
// those that it differs from now. What pops and pulls get is not touched.
func (g *consumers) compare(c *Client, subs []body.SubscriptionData) (found report) {
	if c.stance != nil && c.stance.repeats(subs) {
		return found
	}
	wishes := make([]wish, 0, len(subs))
	for i := range subs {
		if s := &subs[i]; !strings.HasPrefix(s.Topic, message.RetryPrefix) {
			wishes = append(wishes, wish{s.Topic, canonical(s)})
		}
	}
	slices.SortFunc(wishes, func(a, b wish) int { return strings.Compare(a.topic, b.topic) })
	if c.stance != nil && slices.Equal(c.stance.subs, wishes) {
		return found
	}
	g.unnote(c)
	i := slices.IndexFunc(g.stances, func(st *stance) bool { return slices.Equal(st.subs, wishes) })
	if i < 0 {
		st := &stance{subs: wishes}
		for i := range subs {
			st.said = append(st.said, saying{subs[i].Topic, kind(&subs[i]), subs[i].SubString})
		}
		i, g.stances = len(g.stances), append(g.stances, st)
	}
	c.stance = g.stances[i]
	c.stance.members = append(c.stance.members, c)
	if c.LastSeen.Sub(g.reporting) >= reportEvery {
		g.reporting, g.reported = c.LastSeen, 0
	}
	for _, st := range g.stances {
		if g.reported > maxReported {
			break
		}
		if st == c.stance {
			continue
		}
		if k, ok := conflict(c, st); ok {
			if g.reported++; g.reported > maxReported {
				found.more = true
				break
			}
			found.conflicts = append(found.conflicts, k)
		}
	}
	return found
}

// report logs conflicts of a group; r.mu is not held.
func (r *Registry) report(group string, found report) {
	for _, k := range found.conflicts {
		r.cfg.Logger.Warn("two members of a consumer group subscribe differently: each may miss messages that it wants; give all members the same subscriptions",
			"group", group, "topic", k.Topic, "client", k.ClientID, "expression", orNone(k.Expression), "other", k.OtherID, "otherExpression", orNone(k.Other))
	}
	if found.more {
		r.cfg.Logger.Warn("more members of a consumer group subscribe differently, or change what they subscribe to: they are not logged for a while", "group", group, "after", maxReported, "for", reportEvery)
	}
}

// orNone is an expression for a person.
func orNone(expression string) string {
	if expression == "" {
		return "not subscribed"
	}
	return expression
}

// unnote takes a member out of its stance.
func (g *consumers) unnote(c *Client) {
	st := c.stance
	if st == nil {
		return
	}
	c.stance = nil
	if i := slices.Index(st.members, c); i >= 0 {
		st.members = slices.Delete(st.members, i, i+1)
	}
	if len(st.members) == 0 {
		g.stances = slices.DeleteFunc(g.stances, func(o *stance) bool { return o == st })
	}
}

// conflict is the first topic on which c and the first member of st differ. A
// client does not differ from itself: it may be there twice after a reconnect.
func conflict(c *Client, st *stance) (Conflict, bool) {
	i := slices.IndexFunc(st.members, func(o *Client) bool { return o.ID != c.ID })
	if i < 0 {
		return Conflict{}, false
	}
	k := Conflict{ClientID: c.ID, OtherID: st.members[i].ID}
	a, b := c.stance.subs, st.subs
	for len(a) > 0 || len(b) > 0 {
		switch {
		case len(b) == 0 || len(a) > 0 && a[0].topic < b[0].topic:
			k.Topic, k.Expression = a[0].topic, a[0].expression
			return k, true
		case len(a) == 0 || b[0].topic < a[0].topic:
			k.Topic, k.Other = b[0].topic, b[0].expression
			return k, true
		case a[0] != b[0]:
			k.Topic, k.Expression, k.Other = a[0].topic, a[0].expression, b[0].expression
			return k, true
		}
		a, b = a[1:], b[1:]
	}
	return Conflict{}, false
}

// most is what most members of the group subscribe to, nil without members.
func (g *consumers) most() (most *stance) {
	for _, st := range g.stances {
		if most == nil || len(st.members) > len(most.members) {
			most = st
		}
	}
	return most
}

// Conflicts names members of a group that subscribe to something else than most of
// it do, each beside one of those; maxReported at most.
func (r *Registry) Conflicts(group string) (list []Conflict) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	g := r.consumers[group]
	if g == nil {
		return nil
	}
	most := g.most()
	for _, st := range g.stances {
		if st == most {
			continue
		}
		for _, c := range st.members {
			if len(list) == maxReported {
				return list
			}
			if k, ok := conflict(c, most); ok {
				list = append(list, k)
			}
		}
	}
	return list
}

// Conflicting counts, by group, the members that subscribe to something else than
// most of their group; groups that agree are left out.
func (r *Registry) Conflicting() map[string]int {
	r.mu.RLock()
	defer r.mu.RUnlock()
	counts := map[string]int{}
	for name, g := range r.consumers {
		if len(g.stances) < 2 {
			continue
		}
		most := g.most()
		for _, st := range g.stances {
			if st == most {
				continue
			}
			for _, c := range st.members {
				if _, ok := conflict(c, most); ok {
					counts[name]++
				}
			}
		}
	}
	return counts
}
