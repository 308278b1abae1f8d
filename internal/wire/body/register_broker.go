// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package body

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/twostage/twostage/internal/wire/fastjson"
)

// MaxInflated is how many bytes a deflated registration may hold.
const MaxInflated = 64 << 20

// maxTopics is how many topics a deflated registration may announce.
const maxTopics = 1 << 20

// ErrChecksum is what a registration is refused with whose bytes are not those
// that its sender summed.
var ErrChecksum = errors.New("checksum of the body differs from bodyCrc32")

// RegisterBrokerBody is what a broker tells a name server about itself
// (REGISTER_BROKER, 103).
type RegisterBrokerBody struct {
	TopicConfigSerializeWrapper TopicConfigSerializeWrapper `json:"topicConfigSerializeWrapper"`
	FilterServerList            []string                    `json:"filterServerList"` // empty since 4.3
}

func (*RegisterBrokerBody) about() (string, fastjson.Limits) {
	return "broker registration", tableLimits()
}

func (b *RegisterBrokerBody) check() error { return b.TopicConfigSerializeWrapper.check() }

// Checksum is the bodyCrc32 of a registration: the CRC-32 of the bytes as they
// travel, without its highest bit.
func Checksum(text []byte) int32 { return int32(crc32.ChecksumIEEE(text) & 0x7FFFFFFF) }

// UnmarshalRegisterBroker reads a registration whose header says compressed and
// bodyCrc32; a sum of 0 is not checked, as in Java. Besides the errors of
// [Unmarshal] there are those that wrap [ErrChecksum], and of the deflated form
// those of the zlib stream, of a part that does not fit its length, and, wrapping
// [fastjson.ErrLimit], of more than [MaxInflated] bytes or 1,048,576 topics.
//
// The deflated form is no JSON object but a zlib stream of parts, each behind its
// length in bytes (RegisterBrokerBody.encode of 4.9.8 and 5.x):
//
//	+-------+-------------+-------+ +-------+-------+     +-------+--------------+
//	| int32 | dataVersion | int32 | | int32 | topic | ... | int32 | JSON list of |
//	| len   | JSON        | count | | len   | line  |     | len   | filter       |
//	|       |             |       | |       |       |     |       | servers      |
//	+-------+-------------+-------+ +-------+-------+     +-------+--------------+
//	                                |<-- count times ---->|
//
//	5.x adds:  int32 count, and count times int32 len, JSON of a TopicQueueMappingInfo.
//	A name server of 5.x demands the count of brokers that state version 413 or
//	higher; one of 4.9 does not read that far.
//
// A topic line is "name readQueues writeQueues perm filterType", and in 5.x one
// more blank and the attributes as a JSON object. It has neither the order flag
// nor topicSysFlag: a name server does not learn them from this form.
func UnmarshalRegisterBroker(data []byte, compressed bool, bodyCRC32 int32) (*RegisterBrokerBody, error) {
	if sum := Checksum(data); bodyCRC32 != 0 && sum != bodyCRC32 {
		return nil, fmt.Errorf("broker registration: %w: sum %d, header %d", ErrChecksum, sum, bodyCRC32)
	}
	b := new(RegisterBrokerBody)
	if !compressed {
		if err := Unmarshal(data, b); err != nil {
			return nil, err
		}
		return b, nil
	}
	plain, err := inflate(data)
	if err == nil {
		err = b.readParts(plain)
	}
	if err != nil {
		return nil, fmt.Errorf("broker registration: %w", err)
	}
	return b, nil
}

func inflate(data []byte) ([]byte, error) {
	r, err := zlib.NewReader(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	plain, err := io.ReadAll(io.LimitReader(r, MaxInflated+1))
	if err != nil {
		return nil, err
	}
	if len(plain) > MaxInflated {
		return nil, fmt.Errorf("%w: more than %d bytes inflated", fastjson.ErrLimit, MaxInflated)
	}
	return plain, nil
}

func (b *RegisterBrokerBody) readParts(plain []byte) error {
	parts := partReader{rest: plain}
	wrapper := &b.TopicConfigSerializeWrapper
	version, err := parts.next("data version")
	if err != nil {
		return err
	}
	if err := Unmarshal(version, &wrapper.DataVersion); err != nil {
		return err
	}
	n, err := parts.count("topics")
	if err != nil {
		return err
	}
	wrapper.TopicConfigTable = make(map[string]TopicConfig)
	for range n {
		line, err := parts.next("topic")
		if err != nil {
			return err
		}
		c, err := parseTopicLine(string(line))
		if err != nil {
			return err
		}
		wrapper.TopicConfigTable[c.TopicName] = c
	}
	servers, err := parts.next("filter servers")
	if err != nil {
		return err
	}
	if err := clientLimits().Unmarshal(servers, &b.FilterServerList); err != nil {
		return fmt.Errorf("filter servers: %w", err)
	}
	if len(parts.rest) == 0 {
		return nil
	}
	return wrapper.readMappings(&parts)
}

func (w *TopicConfigSerializeWrapper) readMappings(parts *partReader) error {
	n, err := parts.count("static topics")
	if err != nil || n == 0 {
		return err
	}
	w.TopicQueueMappingInfoMap = make(map[string]TopicQueueMappingInfo)
	for range n {
		text, err := parts.next("static topic")
		if err != nil {
			return err
		}
		var info TopicQueueMappingInfo
		if err := clientLimits().Unmarshal(text, &info); err != nil {
			return fmt.Errorf("static topic: %w", err)
		}
		w.TopicQueueMappingInfoMap[info.Topic] = info
	}
	return nil
}

// partReader takes the parts of the deflated form.
type partReader struct{ rest []byte }

func (r *partReader) int32(what string) (int, error) {
	if len(r.rest) < 4 {
		return 0, fmt.Errorf("%s: %w", what, io.ErrUnexpectedEOF)
	}
	n := int32(binary.BigEndian.Uint32(r.rest))
	r.rest = r.rest[4:]
	if n < 0 || int(n) > len(r.rest) {
		return 0, fmt.Errorf("%s: length or count %d, but %d bytes left", what, n, len(r.rest))
	}
	return int(n), nil
}

// count reads how many parts follow; each has at least its length.
func (r *partReader) count(what string) (int, error) {
	n, err := r.int32(what)
	if err == nil && n > maxTopics {
		err = fmt.Errorf("%w: %d %s, at most %d", fastjson.ErrLimit, n, what, maxTopics)
	}
	return n, err
}

func (r *partReader) next(what string) ([]byte, error) {
	n, err := r.int32(what)
	if err != nil {
		return nil, err
	}
	part := r.rest[:n]
	r.rest = r.rest[n:]
	return part, nil
}

// parseTopicLine reads a topic as the deflated form has it.
func parseTopicLine(line string) (TopicConfig, error) {
	words := strings.SplitN(line, " ", 6)
	if len(words) < 5 || words[0] == "" || words[4] == "" {
		return TopicConfig{}, fmt.Errorf("topic line %.200q: want name, read queues, write queues, perm, filter type", line)
	}
	c := NewTopicConfig(words[0])
	c.TopicFilterType = words[4]
	for i, to := range []*int32{&c.ReadQueueNums, &c.WriteQueueNums, &c.Perm} {
		n, err := strconv.ParseInt(words[i+1], 10, 32)
		if err != nil {
			return TopicConfig{}, fmt.Errorf("topic line %.200q: word %d: want an int32", line, i+2)
		}
		*to = int32(n)
	}
	if len(words) == 6 && words[5] != "" {
		if err := clientLimits().Unmarshal([]byte(words[5]), &c.Attributes); err != nil {
			return TopicConfig{}, fmt.Errorf("topic %.200q: attributes: %w", words[0], err)
		}
	}
	if len(c.Attributes) == 0 {
		c.Attributes = nil
	}
	return c, nil
}

// MarshalRegisterBroker writes a registration and the bodyCrc32 for its header. The
// deflated form leaves attributes out where there are none: name servers of 4.9
// pass over the line of a topic that has them.
func MarshalRegisterBroker(b *RegisterBrokerBody, compressed bool) (data []byte, bodyCRC32 int32) {
	if !compressed {
		data = Marshal(b)
		return data, Checksum(data)
	}
	wrapper := &b.TopicConfigSerializeWrapper
	plain := appendPart(nil, Marshal(&wrapper.DataVersion))
	plain = binary.BigEndian.AppendUint32(plain, uint32(len(wrapper.TopicConfigTable)))
	for _, name := range slices.Sorted(maps.Keys(wrapper.TopicConfigTable)) {
		plain = appendPart(plain, topicLine(wrapper.TopicConfigTable[name]))
	}
	plain = appendPart(plain, fastjson.Marshal(b.FilterServerList))
	mappings := wrapper.TopicQueueMappingInfoMap
	plain = binary.BigEndian.AppendUint32(plain, uint32(len(mappings)))
	for _, name := range slices.Sorted(maps.Keys(mappings)) {
		plain = appendPart(plain, fastjson.Marshal(mappings[name]))
	}
	var deflated bytes.Buffer
	// Neither call can fail: the level is valid and a Buffer takes everything.
	w, _ := zlib.NewWriterLevel(&deflated, zlib.BestCompression)
	w.Write(plain)
	w.Close()
	return deflated.Bytes(), Checksum(deflated.Bytes())
}

func appendPart(dst, part []byte) []byte {
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(part)))
	return append(dst, part...)
}

func topicLine(c TopicConfig) []byte {
	line := fmt.Appendf(nil, "%s %d %d %d %s", c.TopicName, c.ReadQueueNums, c.WriteQueueNums, c.Perm, c.TopicFilterType)
	if len(c.Attributes) > 0 {
		line = append(line, ' ')
		line = append(line, fastjson.Marshal(c.Attributes)...)
	}
	return line
}
