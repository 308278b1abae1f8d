// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package body

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"github.com/twostage/twostage/internal/wire/fastjson"
	"github.com/twostage/twostage/internal/wire/wiretest"
)

// requestBody returns an empty body for a request with this code, nil if its
// body is not one of ours.
func requestBody(code int32) Body {
	switch code {
	case 34:
		return new(HeartbeatData)
	case 41, 42:
		return new(LockBatchRequestBody)
	case 46:
		return new(CheckClientRequestBody)
	case 103:
		return new(RegisterBrokerBody)
	case 200:
		return new(SubscriptionGroupConfig)
	case 220:
		return new(ResetOffsetBody)
	}
	return nil
}

// answerBody returns an empty body for an answer to a request with this code.
func answerBody(code int32) Body {
	switch code {
	case 21:
		return new(TopicConfigSerializeWrapper)
	case 28, 103:
		return new(KVTable)
	case 38:
		return new(GetConsumerListByGroupResponseBody)
	case 41:
		return new(LockBatchResponseBody)
	case 43:
		return new(ConsumerOffsetSerializeWrapper)
	case 45:
		return new(DelayOffsetSerializeWrapper)
	case 105:
		return new(TopicRouteData)
	case 106:
		return new(ClusterInfo)
	case 201:
		return new(SubscriptionGroupWrapper)
	case 202:
		return new(TopicStatsTable)
	case 203:
		return new(ConsumerConnection)
	case 204:
		return new(ProducerConnection)
	case 206:
		return new(TopicList)
	case 208:
		return new(ConsumeStats)
	case 222:
		return new(ResetOffsetBody)
	case 300:
		return new(GroupList)
	case 307:
		return new(ConsumerRunningInfo)
	case 309:
		return new(ConsumeMessageDirectlyResult)
	case 315:
		return new(BrokerStatsData)
	case 317:
		return new(ConsumeStatsList)
	case 321:
		return new(QueryConsumeQueueResponseBody)
	case 328:
		return new(ProducerTableInfo)
	}
	return nil
}

// recorded is a JSON body of a recording.
type recorded struct {
	where    string
	text     []byte
	body     Body // empty, of the type for text
	standard bool // the asker is one that gets standard JSON
	java     bool // written by Java: nothing is escaped that we would not escape
}

func recordedBodies(t testing.TB) []recorded {
	scenarios, err := wiretest.Load(os.DirFS("../../../testdata/golden/frames"))
	if err != nil {
		t.Fatal(err)
	}
	var all []recorded
	add := func(s *wiretest.Scenario, f *wiretest.Frame, b Body, standard bool) {
		text := f.Bytes[f.Stated.BodyAt:]
		if len(text) == 0 || text[0] != '{' {
			if b != nil && (!f.Kind.Response || f.Kind.Code == 0) && len(text) > 0 {
				t.Errorf("%s frame %d: body is not JSON", s.Name, f.Number)
			}
			return
		}
		code := f.Kind.Code
		if f.Kind.Response {
			code = f.Kind.Request
		}
		where := fmt.Sprintf("%s frame %d (%d, answer %t)", s.Name, f.Number, code, f.Kind.Response)
		if b == nil {
			t.Errorf("%s: no type for the body %.60s", where, text)
			return
		}
		java := f.Kind.Response || strings.Contains(f.Header, `"JAVA"`)
		all = append(all, recorded{where, text, b, standard, java})
	}
	for _, s := range scenarios {
		for _, x := range s.Exchanges() {
			add(s, x.Request, requestBody(x.Request.Kind.Code), false)
			if x.Answer == nil {
				continue
			}
			var header struct{ Version int32 }
			if err := json.Unmarshal([]byte(x.Request.Header), &header); err != nil {
				t.Fatal(err)
			}
			code := x.Request.Kind.Code
			add(s, x.Answer, answerBody(code), code == 105 && header.Version >= 401)
		}
	}
	return all
}

// tree reads a text of either dialect into plain values with literal numbers.
func tree(t testing.TB, text []byte) (v any) {
	t.Helper()
	standard, err := fastjson.ToStandard(text)
	if err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	d := json.NewDecoder(bytes.NewReader(standard))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		t.Fatal(err)
	}
	return v
}

// ordered reports whether the keys of every object of text are in ascending
// order, integer keys by value.
func ordered(t testing.TB, text []byte) bool {
	standard, err := fastjson.ToStandard(text)
	if err != nil {
		t.Fatal(err)
	}
	d := json.NewDecoder(bytes.NewReader(standard))
	ok := true
	var walk func()
	walk = func() {
		token, err := d.Token()
		if err != nil {
			t.Fatal(err)
		}
		switch token {
		case json.Delim('{'):
			for last := ""; d.More(); {
				token, err := d.Token()
				if err != nil {
					t.Fatal(err)
				}
				key := token.(string)
				m, errM := strconv.Atoi(last)
				n, errN := strconv.Atoi(key)
				if errM == nil && errN == nil {
					ok = ok && m < n
				} else if strings.HasPrefix(last, "{") {
					ok = false // object keys: Java's order is by hash, ours by field
				} else {
					ok = ok && last < key
				}
				last = key
				walk()
			}
			d.Token()
		case json.Delim('['):
			for d.More() {
				walk()
			}
			d.Token()
		}
	}
	walk()
	return ok
}

// Every recorded body says the same after it went through its type, and the
// same bytes where Java's maps happen to be in order.
func TestRecordedBodies(t *testing.T) {
	exact := 0
	seen := map[string]int{}
	for _, r := range recordedBodies(t) {
		if err := Unmarshal(r.text, r.body); err != nil {
			t.Errorf("%s: %v", r.where, err)
			continue
		}
		got := Marshal(r.body)
		if r.standard {
			got = MarshalStandard(r.body)
		}
		seen[reflect.TypeOf(r.body).Elem().Name()]++
		// The Go client's tag codes are strings; Java takes them for the numbers they are.
		want := bytes.Replace(r.text, []byte(`"codeSet":["2598919"]`), []byte(`"codeSet":[2598919]`), 1)
		if !reflect.DeepEqual(tree(t, got), tree(t, want)) || r.java && len(got) != len(r.text) {
			t.Errorf("%s: comes out as\n%s, was\n%s", r.where, got, r.text)
		}
		if !ordered(t, got) && !bytes.Contains(got, []byte("{{")) {
			t.Errorf("%s: keys are not in order: %s", r.where, got)
		}
		if ordered(t, r.text) {
			exact++
			if !bytes.Equal(got, r.text) {
				t.Errorf("%s: bytes differ:\n%s, was\n%s", r.where, got, r.text)
			}
		}
		second := reflect.New(reflect.TypeOf(r.body).Elem()).Interface().(Body)
		if err := Unmarshal(got, second); err != nil || !reflect.DeepEqual(second, r.body) {
			t.Errorf("%s: read again: %+v, %v", r.where, second, err)
		}
	}
	t.Logf("%v, %d byte for byte", seen, exact)
	if len(seen) != 27 || exact < 275 {
		t.Errorf("%d types, %d bodies byte for byte: the recordings have more", len(seen), exact)
	}
}

// configBody returns an empty body for a config file.
func configBody(t testing.TB, name string) Body {
	switch base := strings.TrimSuffix(filepath.Base(name), ".bak"); base {
	case "topics.json":
		return new(TopicConfigSerializeWrapper)
	case "subscriptionGroup.json":
		return new(SubscriptionGroupWrapper)
	case "consumerOffset.json":
		return new(ConsumerOffsetSerializeWrapper)
	case "delayOffset.json":
		return new(DelayOffsetSerializeWrapper)
	case "consumerFilter.json":
		return new(ConsumerFilterTable)
	default:
		t.Fatalf("no type for %s", base)
		return nil
	}
}

func configFiles(t testing.TB) map[string][]byte {
	names, err := filepath.Glob("../../../testdata/golden/store-*/config/*")
	if err != nil || len(names) != 20 {
		t.Fatalf("%d config files, %v; want 20", len(names), err)
	}
	files := map[string][]byte{}
	for _, name := range names {
		if files[name], err = os.ReadFile(name); err != nil {
			t.Fatal(err)
		}
	}
	return files
}

func TestConfigFiles(t *testing.T) {
	exact := 0
	for name, text := range configFiles(t) {
		b := configBody(t, name)
		if err := Unmarshal(text, b); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		got := MarshalConfig(b)
		if !reflect.DeepEqual(tree(t, got), tree(t, text)) || len(got) != len(text) {
			t.Errorf("%s comes out as\n%s", name, got)
		}
		if ordered(t, text) {
			exact++
			if !bytes.Equal(got, text) {
				t.Errorf("%s: bytes differ:\n%s", name, got)
			}
		}
	}
	if exact < 8 { // the delay offsets and filters
		t.Errorf("%d files byte for byte", exact)
	}
}
