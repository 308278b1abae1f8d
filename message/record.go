// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package message

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"net/netip"
)

// A record, as it stands in the commit log and in the answers to pulls and
// queries. H is 8 or, if the flag of that host is set in the system flag, 20.
//
//	byte  bytes
//	   0      4  size of the whole record
//	   4      4  magic: MagicV1 or MagicV2
//	   8      4  CRC-32 (IEEE) of the body, without its highest bit
//	  12      4  queue id
//	  16      4  flag of the application
//	  20      8  queue offset
//	  28      8  physical offset: where the record stands in the commit log
//	  36      4  system flag
//	  40      8  born timestamp, ms since 1970
//	  48      H  born host: IP and port (4)
//	  +0      8  store timestamp, ms since 1970
//	  +8      H  store host
//	  +0      4  times the message was consumed again
//	  +4      8  prepared offset: physical offset of the half message
//	 +12    4+n  length of the body, body
//	      1+n/2+n  length of the topic (MagicV1: 1 byte, MagicV2: 2), topic
//	        2+n  length of the properties, properties text
//
// Where a commit log file has no room for the next record, it holds the rest of
// its length (4) and MagicBlank (4); what follows in it has no meaning.
//
// Lengths are signed in RocketMQ, so the highest are 127 and 32767.
// Source: CommitLog and MessageExtEncoder of Apache RocketMQ.
const (
	MagicV1    = 0xDAA320A7
	MagicV2    = 0xDAA320AB // topics longer than 127 bytes
	MagicBlank = 0xCBD43194

	maxTopicV1  = math.MaxInt8
	maxTopicV2  = math.MaxInt16
	hostSize    = 4 + 4
	maxHostSize = 16 + 4
	addedByV6   = maxHostSize - hostSize

	atBodyCRC        = 8
	atQueueID        = 12
	atFlag           = 16
	atQueueOffset    = 20
	atPhysicalOffset = 28
	atSysFlag        = 36
	atBornTimestamp  = 40
	atBornHost       = 48
	atBodyLength     = 84 // with two IPv4 hosts

	// MinRecordSize is the length of the smallest record: two IPv4 hosts, no
	// body, an empty topic of MagicV1, no properties.
	MinRecordSize = atBodyLength + 4 + 1 + 2

	// BlankSize is the length of the marker at the end of a commit log file.
	BlankSize = 8
)

// Why a record, or what stands in its place, cannot be decoded or encoded.
var (
	// ErrShort: the input ends before the record does.
	ErrShort = errors.New("message: incomplete record")
	// ErrBlank: no more records in this commit log file.
	ErrBlank = errors.New("message: end of the commit log file")
	// ErrMagic: this is not the beginning of a record.
	ErrMagic = errors.New("message: unknown record magic")
	// ErrSize: the size is not possible, or not the sum of the parts.
	ErrSize = errors.New("message: bad record size")
	// ErrHost: a port is not between 0 and 65535.
	ErrHost = errors.New("message: bad host in record")
	// ErrBody: the length of the body is negative or reaches past the end.
	ErrBody = errors.New("message: bad body length")
	// ErrTopic: the length of the topic is negative, too great, or reaches past
	// the end.
	ErrTopic = errors.New("message: bad topic length")
	// ErrProperties: the length of the properties is negative, too great, or
	// reaches past the end.
	ErrProperties = errors.New("message: bad properties length")
	// ErrBodyCRC: the body is not the one that was stored.
	ErrBodyCRC = errors.New("message: body does not match its CRC")
	// ErrCRC: the record is not the one that was stored, as PropertyCRC32 at its
	// end tells.
	ErrCRC = errors.New("message: record does not match its CRC (" + PropertyCRC32 + ")")
)

// Record is a stored message. After DecodeRecord its slices are parts of the
// input.
type Record struct {
	// Size, Magic and BodyCRC are results of decoding; encoding computes its own
	// and does not look at these.
	Size    int32
	Magic   uint32
	BodyCRC uint32

	QueueID        int32
	Flag           int32
	QueueOffset    int64
	PhysicalOffset int64
	SysFlag        SysFlag // encoding sets the two host bits as the hosts need
	BornTimestamp  int64   // ms since 1970, the producer's clock
	BornHost       netip.AddrPort
	StoreTimestamp int64 // ms since 1970, the broker's clock
	StoreHost      netip.AddrPort
	ReconsumeTimes int32
	PreparedOffset int64

	Body       []byte // as stored, perhaps compressed
	Topic      []byte
	Properties []byte
}

// Property finds a property of the record. It does not allocate.
func (r *Record) Property(name string) (value []byte, ok bool) {
	return Property(r.Properties, name)
}

// TagsCode is the hash of the record's tags, 0 without. The consume queue of
// TopicSchedule holds something else: the time of delivery.
func (r *Record) TagsCode() int64 {
	tags, _ := r.Property(PropertyTags)
	return TagsCode(tags)
}

// Check tests that the record can be encoded. Errors match ErrTopic (also for
// an empty topic), ErrProperties or ErrBody.
func (r *Record) Check() error {
	switch {
	case len(r.Topic) == 0:
		return fmt.Errorf("%w: the record has no topic", ErrTopic)
	case len(r.Topic) > maxTopicV2:
		return fmt.Errorf("%w: %d bytes, at most %d fit", ErrTopic, len(r.Topic), maxTopicV2)
	case len(r.Properties) > MaxPropertiesLength:
		return propertiesError(len(r.Properties))
	case !r.encodable():
		return fmt.Errorf("%w: a body of %d bytes makes the record larger than %d", ErrBody, len(r.Body), math.MaxInt32)
	}
	return nil
}

func propertiesError(n int) error {
	return fmt.Errorf("%w: %d bytes, at most %d fit", ErrProperties, n, MaxPropertiesLength)
}

// encodable tells whether every length fits its field.
func (r *Record) encodable() bool {
	return len(r.Topic) <= maxTopicV2 && len(r.Properties) <= MaxPropertiesLength &&
		int64(len(r.Body)) <= math.MaxInt32-MinRecordSize-2*addedByV6-maxTopicV2-MaxPropertiesLength-1
}

// PatchPosition writes where a record came to stand into the record: its offset
// in the queue, its offset in the commit log, and when (ms since 1970). rec must
// begin with a record that AppendRecord made. It does not allocate.
func PatchPosition(rec []byte, queueOffset, physicalOffset, storeTimestamp int64) {
	at := storeTimestampAt(rec)
	binary.BigEndian.PutUint64(rec[atQueueOffset:], uint64(queueOffset))
	binary.BigEndian.PutUint64(rec[atPhysicalOffset:], uint64(physicalOffset))
	binary.BigEndian.PutUint64(rec[at:], uint64(storeTimestamp))
}

// Position reads what PatchPosition writes, and the size. For input too short
// to be a record it returns zeros. It does not allocate.
func Position(rec []byte) (size int32, queueOffset, physicalOffset, storeTimestamp int64) {
	if len(rec) < MinRecordSize {
		return 0, 0, 0, 0
	}
	return int32(binary.BigEndian.Uint32(rec)),
		int64(binary.BigEndian.Uint64(rec[atQueueOffset:])),
		int64(binary.BigEndian.Uint64(rec[atPhysicalOffset:])),
		int64(binary.BigEndian.Uint64(rec[storeTimestampAt(rec):]))
}

func storeTimestampAt(rec []byte) int {
	if SysFlag(binary.BigEndian.Uint32(rec[atSysFlag:])).Has(FlagBornHostV6) {
		return atBornHost + maxHostSize
	}
	return atBornHost + hostSize
}

// putHost writes IP and port to b, which has maxHostSize bytes, and returns how
// many it wrote.
func putHost(b []byte, host netip.AddrPort) int {
	n := 4
	if isV6(host) {
		ip := host.Addr().As16()
		n = copy(b, ip[:])
	} else if host.IsValid() {
		ip := host.Addr().Unmap().As4()
		copy(b, ip[:])
	} else {
		binary.BigEndian.PutUint32(b, 0)
	}
	binary.BigEndian.PutUint32(b[n:], uint32(host.Port()))
	return n + 4
}

// readHost reads IP and port from all of b: 8 or 20 bytes.
func readHost(b []byte) (host netip.AddrPort, ok bool) {
	n := len(b) - 4
	port := binary.BigEndian.Uint32(b[n:])
	if port > math.MaxUint16 {
		return netip.AddrPort{}, false
	}
	ip, ok := netip.AddrFromSlice(b[:n])
	return netip.AddrPortFrom(ip.Unmap(), uint16(port)), ok
}

func isV6(host netip.AddrPort) bool {
	ip := host.Addr()
	return ip.Is6() && !ip.Is4In6()
}
