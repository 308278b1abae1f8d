// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package replay

import (
	"encoding/json"
	"fmt"
	"slices"
	"sort"
	"strings"

	"github.com/twostage/twostage/internal/config"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/fastjson"
	"github.com/twostage/twostage/message"
)

// absent stands for a value that is not there.
const absent = "(absent)"

// difference is one place where an answer is not the recorded one.
type difference struct {
	scenario string
	frame    int
	code     int32  // of the request, or of a request from the server
	at       string // which part
	want     string // recorded
	have     string
}

func (d difference) String() string {
	return fmt.Sprintf("%s frame %d (%s) %s: recorded %.300q, have %.300q", d.scenario, d.frame, wire.CodeName(d.code), d.at, d.want, d.have)
}

// comparer holds two commands against each other.
type comparer struct {
	recordedBroker, broker string // addresses
	found                  func(at, want, have string)
}

func (c *comparer) value(at, want, have string) {
	want = strings.ReplaceAll(want, c.recordedBroker, c.broker)
	if want != have {
		c.found(at, want, have)
	}
}

// command compares everything but the opaque, which has been looked at to find
// the answer.
func (c *comparer) command(code int32, want, have *wire.Command) {
	c.value("code", fmt.Sprint(want.Code), fmt.Sprint(have.Code))
	c.value("flag", fmt.Sprint(want.Flag), fmt.Sprint(have.Flag))
	c.value("language", want.Language.String(), have.Language.String())
	c.value("version", fmt.Sprint(want.Version), fmt.Sprint(have.Version))
	c.value("encoding", want.Encoding.String(), have.Encoding.String())
	c.value("remark", string(want.Remark), string(have.Remark))
	if want.Encoding == wire.JSON && have.Encoding == wire.JSON { // the binary header does not tell
		c.value("extFields", fmt.Sprint(want.HasExt), fmt.Sprint(have.HasExt))
	}
	names := map[string]bool{}
	for _, f := range slices.Concat(want.Ext, have.Ext) {
		names[string(f.Key)] = true
	}
	for name := range names {
		if code == wire.ReqPushReplyMessageToClient && name == "properties" {
			c.properties(field(want, name), field(have, name))
			continue
		}
		c.value("extFields."+name, field(want, name), field(have, name))
	}
	switch {
	case len(want.Body) == 0 || len(have.Body) == 0:
		c.value("body", fmt.Sprint(len(want.Body))+" bytes", fmt.Sprint(len(have.Body))+" bytes")
	case code == wire.ReqGetBrokerConfig, code == wire.ReqGetNamesrvConfig:
		c.keys(want.Body, have.Body)
	case code == wire.ReqPushReplyMessageToClient:
		c.value("body", string(want.Body), string(have.Body))
	case code == wire.ReqPullMessage, code == wire.ReqCheckTransactionState, code == wire.ReqViewMessageByID,
		code == wire.ReqConsumeMessageDirectly && !want.IsResponse():
		c.records(want.Body, have.Body)
	default:
		c.json(code, want.Body, have.Body)
	}
}

// keys compares which keys a configuration has. The recorded values are those of another
// machine; keys that only 5.x has are no difference.
func (c *comparer) keys(want, have []byte) {
	recorded, err := config.ParseProperties(want)
	if err != nil {
		c.found("body", "readable", "recorded: "+err.Error())
		return
	}
	entries, err := config.ParseProperties(have)
	if err != nil {
		c.found("body", "readable", err.Error())
		return
	}
	values := map[string]string{}
	for _, e := range entries {
		values[e.Key] = e.Value
	}
	for _, e := range recorded {
		if _, ok := values[e.Key]; !ok {
			c.found("body."+e.Key, e.Value, absent)
		}
	}
}

func field(c *wire.Command, name string) string {
	if v, ok := c.Ext.Get(name); ok {
		return string(v)
	}
	return absent
}

// json compares values. The order of properties, and of arrays, which are sets
// in RocketMQ, is free; whether the text is standard JSON is not.
func (c *comparer) json(code int32, want, have []byte) {
	want = []byte(strings.ReplaceAll(string(want), c.recordedBroker, c.broker))
	if w, h := json.Valid(want), json.Valid(have); w != h {
		c.found("body standard JSON", fmt.Sprint(w), fmt.Sprint(h))
	}
	var w, h any
	if err := fastjson.Unmarshal(want, &w); err != nil {
		c.found("body", "readable", "recorded: "+err.Error())
		return
	}
	if err := fastjson.Unmarshal(have, &h); err != nil {
		c.found("body", string(want), err.Error())
		return
	}
	c.tree("body", withoutSession(code, w), withoutSession(code, h))
}

// withoutSession leaves out of lists of topics and groups what clients made.
func withoutSession(code int32, v any) any {
	made := func(name string) bool {
		for _, prefix := range []string{message.RetryPrefix, message.DLQPrefix, "Fr", "Go"} {
			if strings.HasPrefix(name, prefix) {
				return true
			}
		}
		return false
	}
	object, ok := v.(map[string]any)
	switch {
	case !ok:
	case code == wire.ReqGetAllTopicListFromNameServer:
		if list, ok := object["topicList"].([]any); ok {
			object["topicList"] = slices.DeleteFunc(list, func(name any) bool { return made(fmt.Sprint(name)) })
		}
	case code == wire.ReqGetBrokerConsumeStats:
		if list, ok := object["consumeStatsList"].([]any); ok {
			object["consumeStatsList"] = withoutOwnGroups(list)
		}
	case code == wire.ReqGetAllSubscriptionGroupConfig:
		if table, ok := object["subscriptionGroupTable"].(map[string]any); ok {
			for name := range table {
				if made(name) {
					delete(table, name)
				}
			}
		}
	}
	return v
}

func (c *comparer) tree(at string, want, have any) {
	switch w := want.(type) {
	case map[string]any:
		if h, ok := have.(map[string]any); ok {
			names := map[string]bool{}
			for n := range w {
				names[n] = true
			}
			for n := range h {
				names[n] = true
			}
			for n := range names {
				wv, inW := w[n]
				hv, inH := h[n]
				switch {
				case !inW:
					c.found(at+"."+n, absent, text(hv))
				case !inH:
					c.found(at+"."+n, text(wv), absent)
				default:
					c.tree(at+"."+n, wv, hv)
				}
			}
			return
		}
	case []any:
		h, ok := have.([]any)
		if ok && len(h) != len(w) {
			c.sets(at+"[]", w, h)
			return
		}
		if ok {
			sortValues(w)
			sortValues(h)
			for i := range w {
				c.tree(fmt.Sprintf("%s[%d]", at, i), w[i], h[i])
			}
			return
		}
	}
	if w, h := text(want), text(have); w != h {
		c.found(at, w, h)
	}
}

// sets names what only one of two arrays has.
func (c *comparer) sets(at string, want, have []any) {
	count := map[string]int{}
	for _, v := range want {
		count[text(v)]++
	}
	for _, v := range have {
		count[text(v)]--
	}
	for v, n := range count {
		switch {
		case n > 0:
			c.found(at, v, absent)
		case n < 0:
			c.found(at, absent, v)
		}
	}
}

func sortValues(list []any) {
	sort.Slice(list, func(i, j int) bool { return text(list[i]) < text(list[j]) })
}

func text(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// records compares stored messages, field by field.
func (c *comparer) records(want, have []byte) {
	w, err := decodeRecords(want)
	if err != nil {
		c.found("body", "readable", "recorded: "+err.Error())
		return
	}
	h, err := decodeRecords(have)
	if err != nil {
		c.found("body", fmt.Sprintf("%d records", len(w)), err.Error())
		return
	}
	c.value("records", fmt.Sprint(len(w)), fmt.Sprint(len(h)))
	// Messages that were sent back at the same time come back in any order.
	if len(w) > 1 && strings.HasPrefix(string(w[0].Topic), message.RetryPrefix) {
		ordered(w)
		ordered(h)
	}
	for i := range min(len(w), len(h)) {
		c.record(&w[i], &h[i])
	}
}

// ordered sorts records by their bodies and leaves the queue offsets where they
// are.
func ordered(all []message.Record) {
	var offsets []int64
	for _, r := range all {
		offsets = append(offsets, r.QueueOffset)
	}
	slices.SortFunc(all, func(a, b message.Record) int { return strings.Compare(string(a.Body), string(b.Body)) })
	for i := range all {
		all[i].QueueOffset = offsets[i]
	}
}

func decodeRecords(b []byte) ([]message.Record, error) {
	var all []message.Record
	err := message.RangeRecords(b, true, func(r *message.Record) error {
		all = append(all, *r)
		return nil
	})
	return all, err
}

func (c *comparer) record(want, have *message.Record) {
	for _, f := range []struct {
		name       string
		want, have any
	}{
		{"magic", want.Magic, have.Magic},
		{"bodyCRC", want.BodyCRC, have.BodyCRC},
		{"queueId", want.QueueID, have.QueueID},
		{"flag", want.Flag, have.Flag},
		{"queueOffset", want.QueueOffset, have.QueueOffset},
		{"sysFlag", want.SysFlag, have.SysFlag},
		{"bornTimestamp", want.BornTimestamp, have.BornTimestamp},
		{"bornHost", want.BornHost.Addr(), have.BornHost.Addr()},
		{"storeHost", want.StoreHost, have.StoreHost},
		{"reconsumeTimes", want.ReconsumeTimes, have.ReconsumeTimes},
		{"prepared", want.PreparedOffset != 0, have.PreparedOffset != 0},
		{"body", string(want.Body), string(have.Body)},
		{"topic", string(want.Topic), string(have.Topic)},
	} {
		c.value("record."+f.name, fmt.Sprint(f.want), fmt.Sprint(f.have))
	}
	c.properties(string(want.Properties), string(have.Properties))
}

// properties compares as sets: RocketMQ's order is that of a hash map. A name may
// stand twice.
func (c *comparer) properties(want, have string) {
	c.value("record.properties end", fmt.Sprint(strings.HasSuffix(want, "\x02")), fmt.Sprint(strings.HasSuffix(have, "\x02")))
	w, h := pieces(want), pieces(have)
	names := map[string]bool{}
	for n := range w {
		names[n] = true
	}
	for n := range h {
		names[n] = true
	}
	for n := range names {
		c.value("record.properties."+n, strings.Join(w[n], "|"), strings.Join(h[n], "|"))
	}
}

func pieces(props string) map[string][]string {
	all := map[string][]string{}
	for p := range strings.SplitSeq(strings.TrimSuffix(props, "\x02"), "\x02") {
		name, value, _ := strings.Cut(p, "\x01")
		all[name] = append(all[name], "="+value)
	}
	return all
}
