// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package body

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"math"
	"os"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"github.com/twostage/twostage/internal/wire/fastjson"
	"github.com/twostage/twostage/internal/wire/wiretest"
)

// The recorded registrations have the sum that their headers state.
func TestRegisterBrokerRecorded(t *testing.T) {
	scenarios, err := wiretest.Load(os.DirFS("../../../testdata/golden/frames"))
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, s := range scenarios {
		for _, f := range s.Frames {
			if f.Kind.Response || f.Kind.Code != 103 {
				continue
			}
			n++
			_, rest, _ := strings.Cut(f.Header, `"bodyCrc32":"`)
			number, _, _ := strings.Cut(rest, `"`)
			sum, err := strconv.ParseInt(number, 10, 32)
			if err != nil {
				t.Fatalf("%s: %v", f.Header, err)
			}
			text := f.Bytes[f.Stated.BodyAt:]
			b, err := UnmarshalRegisterBroker(text, false, int32(sum))
			if err != nil || len(b.TopicConfigSerializeWrapper.TopicConfigTable) < 8 {
				t.Errorf("%s: %+v, %v", s.Name, b, err)
			}
			if _, err := UnmarshalRegisterBroker(text, false, int32(sum)^1); !errors.Is(err, ErrChecksum) {
				t.Errorf("%s: wrong sum: %v", s.Name, err)
			}
		}
	}
	if n == 0 {
		t.Error("no registration among the recordings")
	}
}

func registration(newer bool) *RegisterBrokerBody {
	b := &RegisterBrokerBody{
		FilterServerList: []string{"f:1"},
		TopicConfigSerializeWrapper: TopicConfigSerializeWrapper{
			DataVersion: DataVersion{Counter: 24, Timestamp: 1795363577110},
			TopicConfigTable: map[string]TopicConfig{
				"%RETRY%g": {TopicName: "%RETRY%g", ReadQueueNums: 1, WriteQueueNums: 2, Perm: 6, TopicFilterType: SingleTag},
				"TBW102":   {TopicName: "TBW102", ReadQueueNums: 8, WriteQueueNums: 8, Perm: 7, TopicFilterType: MultiTag},
			},
		},
	}
	if newer {
		w := &b.TopicConfigSerializeWrapper
		c := w.TopicConfigTable["TBW102"]
		c.Attributes = map[string]string{"message.type": "FIFO or so", "a": "b"}
		w.TopicConfigTable["TBW102"] = c
		w.TopicQueueMappingInfoMap = map[string]TopicQueueMappingInfo{
			"s": {Topic: "s", Scope: "__global__", TotalQueues: 2, Bname: "b", Epoch: 7, CurrIDMap: map[int32]int32{0: 1}},
		}
	}
	return b
}

func deflate(plain []byte) []byte {
	var out bytes.Buffer
	w := zlib.NewWriter(&out)
	w.Write(plain)
	w.Close()
	return out.Bytes()
}

// parts builds the deflated form's content as Java's encode does.
func parts(items ...any) []byte {
	var out []byte
	for _, item := range items {
		switch item := item.(type) {
		case int:
			out = binary.BigEndian.AppendUint32(out, uint32(item))
		case string:
			out = binary.BigEndian.AppendUint32(out, uint32(len(item)))
			out = append(out, item...)
		}
	}
	return out
}

var javaParts = []any{
	`{"counter":24,"timestamp":1795363577110}`,
	2, "TBW102 8 8 7 MULTI_TAG", "%RETRY%g 1 2 6 SINGLE_TAG",
	`["f:1"]`,
}

func TestRegisterBrokerDeflated(t *testing.T) {
	mapping := `{"bname":"b","currIdMap":{0:1},"dirty":false,"epoch":7,"scope":"__global__","topic":"s","totalQueues":2}`
	newer := []any{
		`{"counter":24,"stateVersion":0,"timestamp":1795363577110}`,
		2, `TBW102 8 8 7 MULTI_TAG {"message.type":"FIFO or so","a":"b"}`, "%RETRY%g 1 2 6 SINGLE_TAG {}",
		`["f:1"]`, 1, mapping,
	}
	tests := []struct {
		name  string
		plain []byte
		want  *RegisterBrokerBody
	}{
		{"4.9", parts(javaParts...), registration(false)},
		{"5.x", parts(newer...), registration(true)},
		{"5.x without static topics", parts(append(javaParts[:len(javaParts):len(javaParts)], 0)...), registration(false)},
	}
	for _, test := range tests {
		data := deflate(test.plain)
		got, err := UnmarshalRegisterBroker(data, true, Checksum(data))
		if err != nil || !reflect.DeepEqual(got, test.want) {
			t.Errorf("%s: %+v, %v", test.name, got, err)
		}
	}
	for _, compressed := range []bool{false, true} {
		for _, b := range []*RegisterBrokerBody{registration(false), registration(true)} {
			data, sum := MarshalRegisterBroker(b, compressed)
			if sum < 0 || sum != int32(crc32.ChecksumIEEE(data)&math.MaxInt32) {
				t.Errorf("sum %d", sum)
			}
			got, err := UnmarshalRegisterBroker(data, compressed, sum)
			if err != nil || !reflect.DeepEqual(got, b) {
				t.Errorf("compressed %t: %+v, %v", compressed, got, err)
			}
			if _, err := UnmarshalRegisterBroker(data, !compressed, 0); err == nil {
				t.Errorf("compressed %t is read as the other form", compressed)
			}
		}
	}
	// What we write is what Java 5.x writes, with the count of static topics that
	// its name servers demand of a broker of our version, but for the order of topics.
	data, _ := MarshalRegisterBroker(registration(false), true)
	plain, err := inflate(data)
	want := parts(javaParts[0], 2, javaParts[3], javaParts[2], javaParts[4], 0)
	if err != nil || !bytes.Equal(plain, want) {
		t.Errorf("%q, %v", plain, err)
	}
}

func TestRegisterBrokerRefuses(t *testing.T) {
	version := javaParts[0]
	tests := []struct {
		plain []byte
		want  string
	}{
		{nil, "data version: unexpected EOF"},
		{parts(-1), "data version: length or count -1"},
		{parts(1 << 30), "data version: length or count 1073741824, but 0 bytes left"},
		{parts(""), "data version: empty"},
		{parts(`{"counter":"x"}`), "data version: field counter: have string, want int64"},
		{parts(version), "topics: unexpected EOF"},
		{parts(version, 5, "x"), "topic line"},
		{parts(version, 9, "x"), "topics: length or count 9, but 5 bytes left"},
		{parts(version, 1, "t 1 2 6"), `topic line "t 1 2 6": want name`},
		{parts(version, 1, " 1 2 6 SINGLE_TAG"), "want name"},
		{parts(version, 1, "t 1 x 6 SINGLE_TAG"), "word 3: want an int32"},
		{parts(version, 1, "t 1 2 4294967296 SINGLE_TAG"), "word 4: want an int32"},
		{parts(version, 1, "t 1 2 6 SINGLE_TAG {x"), `topic "t": attributes: byte 1`},
		{parts(version, 0), "filter servers: unexpected EOF"},
		{parts(version, 0, "{}"), "filter servers: have object, want []string"},
		{parts(version, 0, "[]", 1), "static topics: length or count 1, but 0 bytes left"},
		{parts(version, 0, "[]", 1, "{"), "static topic: byte 1"},
	}
	for _, test := range tests {
		got, err := UnmarshalRegisterBroker(deflate(test.plain), true, 0)
		if err == nil || !strings.Contains(err.Error(), test.want) || !strings.HasPrefix(err.Error(), "broker registration: ") {
			t.Errorf("%q: %+v, %v; want %s", test.plain, got, err, test.want)
		}
	}
	whole := deflate(parts(javaParts...))
	for n := range whole {
		if got, err := UnmarshalRegisterBroker(whole[:n], true, 0); err == nil {
			t.Errorf("cut to %d bytes: %+v", n, got)
		}
	}
	if _, err := UnmarshalRegisterBroker(whole[:len(whole)-5], true, 0); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("cut: %v", err)
	}
	bomb := deflate(make([]byte, MaxInflated+1))
	if _, err := UnmarshalRegisterBroker(bomb, true, 0); !errors.Is(err, fastjson.ErrLimit) {
		t.Errorf("%d bytes that inflate to %d: %v", len(bomb), MaxInflated+1, err)
	}
	crowd := deflate(append(parts(version, maxTopics+1), make([]byte, maxTopics+1)...))
	if _, err := UnmarshalRegisterBroker(crowd, true, 0); !errors.Is(err, fastjson.ErrLimit) {
		t.Errorf("%d topics: %v", maxTopics+1, err)
	}
}

func FuzzUnmarshalRegisterBroker(f *testing.F) {
	f.Add(parts(javaParts...))
	f.Add(parts(append(javaParts[:len(javaParts):len(javaParts)], 1, `{"topic":"s","currIdMap":{0:1}}`)...))
	f.Add(parts(javaParts[0], 1, `t 1 2 6 SINGLE_TAG {"a":"b"}`, "null"))
	f.Fuzz(func(t *testing.T, plain []byte) {
		b := new(RegisterBrokerBody)
		if b.readParts(plain) != nil {
			return
		}
		first, _ := MarshalRegisterBroker(b, true)
		again, err := UnmarshalRegisterBroker(first, true, Checksum(first))
		if err != nil {
			t.Fatalf("%+v cannot be read again: %v", b, err)
		}
		if second, _ := MarshalRegisterBroker(again, true); !bytes.Equal(first, second) {
			t.Fatalf("%+v comes back as %+v", b, again)
		}
	})
}
