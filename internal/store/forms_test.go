// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"github.com/twostage/twostage/internal/vfs"
	"github.com/twostage/twostage/message"
)

// form is a record with a property of its own of what records can be.
type form struct {
	name, topic string
	rec         message.Record
	at          Appended
	tags        int64 // code in the queue
}

// forms are records of every form: versions, hosts, sizes, tags. They fill just
// one log file of 64 KiB, up to the blank marker, and begin the next.
func forms(cfg *Config) []*form {
	v4, v6 := netip.MustParseAddrPort("192.0.2.7:4001"), netip.MustParseAddrPort("[2001:db8::7]:10911")
	rng := rand.New(rand.NewPCG(5, 7))
	var list []*form
	add := func(name, topic string, born, store netip.AddrPort, body int, props ...string) *form {
		r := rec(name, body, props...)
		for i := len(name) + 1; i < len(r.Body); i++ {
			r.Body[i] = byte(rng.Uint32())
		}
		r.BornHost, r.StoreHost, r.BornTimestamp, r.Flag, r.ReconsumeTimes, r.PreparedOffset = born, store, 1_600_000_000_000, -3, 2, 77
		f := &form{name: name, topic: topic, rec: *r}
		tags, _ := r.Property(message.PropertyTags)
		f.tags = message.TagsCode(tags)
		list = append(list, f)
		return f
	}
	longest := strings.Repeat("t", 255)
	add("plain", "T", v4, v4, 10)
	add("born v6", "T", v6, v4, 10, message.PropertyTags, "TagA")
	add("store v6", "T", v4, v6, 10, message.PropertyTags, "\u4e2d\u6587")
	add("both v6", "T", v6, v6, 10, message.PropertyTags, "polygenelubricants") // a code of -2^31
	add("127", strings.Repeat("s", 127), v4, v4, 10)
	add("128, version 2", strings.Repeat("s", 128), v4, v4, 10)
	add("255, both v6", longest, v6, v6, 10, message.PropertyTags, "TagA")
	add("delayed", message.TopicSchedule, v4, v4, 10, message.PropertyDelay, "2", message.PropertyTags, "TagA")
	add("greatest", longest, v4, v6, cfg.MaxMessageSize)
	// What is left of the file, but for the blank marker.
	used := 0
	for _, f := range list {
		f.rec.Topic = []byte(f.topic)
		used += encodedSize(cfg, &f.rec)
	}
	fill := add("fills the file", "T", v4, v4, 100)
	fill.rec.Topic = []byte("T")
	fill.rec.Body = append(fill.rec.Body, make([]byte, int(cfg.CommitLogFileSize)-message.BlankSize-used-encodedSize(cfg, &fill.rec))...)
	add("next file", "T", v4, v4, 10)
	return list
}

func encodedSize(cfg *Config, r *message.Record) int {
	if cfg.PropertyCRC {
		return message.EncodedSizeCRC(r)
	}
	return message.EncodedSize(r)
}

func TestFormsSurviveRestarts(t *testing.T) {
	for _, crc := range []bool{false, true} {
		for _, more := range []int{0, 1} { // bytes too many for the first file
			for _, stop := range []string{"clean", "kill", "views lost"} {
				t.Run(fmt.Sprintf("crc %v, %d more, %s", crc, more, stop), func(t *testing.T) {
					m := vfs.NewMem()
					config := func(m *vfs.Mem) Config {
						cfg := memConfig(m)
						cfg.CommitLogFileSize, cfg.MaxMessageSize, cfg.PropertyCRC, cfg.CheckReads = 64<<10, 32_000, crc, CheckAll
						return cfg
					}
					cfg := config(m)
					list := forms(&cfg)
					fill := list[len(list)-2]
					fill.rec.Body = append(fill.rec.Body, make([]byte, more)...)
					s := open(t, cfg)
					for _, f := range list {
						var b Batch
						if err := b.Add(s.Queue(f.topic, 1), &f.rec); err != nil {
							t.Fatalf("%s: %v", f.name, err)
						}
						if err := s.Append(&b); err != nil {
							t.Fatalf("%s: %v", f.name, err)
						}
						f.at = b.Result(0)
						if f.topic == message.TopicSchedule {
							f.tags = f.at.StoreTimestamp + cfg.DelayLevels[1]
						}
					}
					for _, f := range list[len(list)-2:] {
						if file := f.at.PhysicalOffset / cfg.CommitLogFileSize; f == fill && file != int64(more) || f != fill && file != 1 {
							t.Fatalf("%s stands at %d", f.name, f.at.PhysicalOffset)
						}
					}
					dispatched(t, s)
					checkForms(t, s, list)
					if stop == "clean" {
						closeStore(t, s)
					} else {
						m = m.Kill()
					}
					if stop == "views lost" {
						for _, dir := range []string{"/consumequeue", "/index", "/checkpoint"} {
							if err := m.RemoveAll("/data/store" + dir); err != nil {
								t.Fatal(err)
							}
						}
					}
					s = open(t, config(m))
					if st := s.Stats(); st.DamagedRanges != 0 || st.Recovery.Cut != 0 {
						t.Errorf("%+v", st.Recovery)
					}
					checkForms(t, s, list)
					// And the store goes on behind them.
					put(t, s, s.Queue("T", 1), "after")
					dispatched(t, s)
					if got := names(t, s, s.Queue("T", 1), 0); got[len(got)-1] != "after" {
						t.Errorf("got %v", got)
					}
					closeStore(t, s)
				})
			}
		}
	}
}

// checkForms reads each record in every way and compares all of it.
func checkForms(t *testing.T, s *Store, list []*form) {
	t.Helper()
	for _, f := range list {
		want := f.rec
		want.Topic, want.QueueID = []byte(f.topic), 1
		want.QueueOffset, want.PhysicalOffset, want.StoreTimestamp, want.Size = f.at.QueueOffset, f.at.PhysicalOffset, f.at.StoreTimestamp, f.at.Size
		check := func(how string, b []byte) {
			t.Helper()
			got := want
			if n, err := message.DecodeRecord(b, &got, true); err != nil || n != len(b) || n != encodedSize(&s.cfg, &want) {
				t.Fatalf("%s, %s: %d of %d bytes, %v", f.name, how, n, len(b), err)
			}
			if got.HasCRC() != s.cfg.PropertyCRC {
				t.Errorf("%s, %s: has a CRC: %v", f.name, how, got.HasCRC())
			}
			if !bytes.HasPrefix(got.Properties, want.Properties) {
				t.Errorf("%s, %s: properties %q, want %q", f.name, how, got.Properties, want.Properties)
			}
			got.Properties, got.Magic, got.BodyCRC = want.Properties, 0, 0
			got.SysFlag &^= message.FlagBornHostV6 | message.FlagStoreHostV6
			if !reflect.DeepEqual(got, want) {
				t.Errorf("%s, %s: got %+v, want %+v", f.name, how, got, want)
			}
		}
		q := s.LookupQueue(f.topic, 1)
		if q == nil {
			t.Fatalf("%s: no queue", f.name)
		}
		r, err := s.Get(q, f.at.QueueOffset, 1, 1, Filter{Tags: func(code int64) bool { return code == f.tags }})
		if err != nil || len(r.Records) != 1 {
			t.Fatalf("%s: Get = %+v, %v", f.name, r, err)
		}
		check("Get", r.Records[0])
		r.Release()
		rec, release, err := s.Record(f.at.PhysicalOffset)
		if err != nil {
			t.Fatalf("%s: %v", f.name, err)
		}
		check("Record", rec)
		release()
		res, err := s.Query(f.topic, f.name, 8, 0, 1<<50)
		if err != nil || len(res.Records) != 1 || res.Offsets[0] != f.at.PhysicalOffset {
			t.Fatalf("%s: Query = %v, %v", f.name, res.Offsets, err)
		}
		check("Query", res.Records[0])
		res.Release()
		e, err := s.Entries(nil, q, f.at.QueueOffset, 1)
		if err != nil || len(e) != 1 || e[0] != (Entry{f.at.PhysicalOffset, f.at.Size, f.tags}) {
			t.Errorf("%s: entry %+v, %v, want tags code %d", f.name, e, err, f.tags)
		}
		for _, b := range []Boundary{Lower, Upper} { // each has a time of its own
			if at, err := s.OffsetByTime(q, f.at.StoreTimestamp, b); at != f.at.QueueOffset || err != nil {
				t.Errorf("%s: offset by time %d, %v", f.name, at, err)
			}
		}
	}
}

// TestGreatestRecords: what RocketMQ takes, and one byte more.
func TestGreatestRecords(t *testing.T) {
	cfg := memConfig(vfs.NewMem())
	cfg.CommitLogFileSize, cfg.CheckReads = 8<<20, CheckAll // maxMessageSize is 4 MiB
	s := open(t, cfg)
	q := s.Queue("T", 0)
	var b Batch
	if err := b.Add(q, rec("n", 4<<20+1)); !errors.Is(err, ErrTooLarge) || b.Len() != 0 {
		t.Fatalf("a body of 4 MiB + 1: %v", err)
	}
	r := rec("n", 4<<20)
	room := message.MaxPropertiesLength - len(r.Properties) - len("\x02k\x01")
	r.Properties = message.AppendProperty(r.Properties, "k", strings.Repeat("v", room))
	if err := b.Add(q, r); err != nil {
		t.Fatal(err)
	}
	if err := s.Append(&b); err != nil {
		t.Fatal(err)
	}
	put(t, s, q, "second")
	dispatched(t, s)
	for range 2 {
		if got := names(t, s, q, 0); len(got) != 2 || got[0] != "n" || got[1] != "second" {
			t.Fatalf("got %v", got)
		}
		closeStore(t, s)
		s = open(t, cfg)
		q = s.Queue("T", 0)
	}
	closeStore(t, s)
}

// TestPropertyCRC: a record with a CRC of all of it is damaged by any change,
// for recovery and for reads; what a client says in its place is put right.
func TestPropertyCRC(t *testing.T) {
	const bad, n = 5, 12
	for what, at := range map[string]int64{"queue id": 15, "flag": 16, "queue offset": 27, "store timestamp": 63, "born host": 50, "prepared offset": 82, "key": 200} {
		for _, kill := range []bool{false, true} {
			m := vfs.NewMem()
			config := func(m *vfs.Mem) Config {
				cfg := memConfig(m)
				cfg.PropertyCRC = true
				return cfg
			}
			s := open(t, config(m))
			q := s.Queue("T", 0)
			where := put(t, s, q, numbered("n", n)...)
			dispatched(t, s)
			if kill {
				m = m.Kill()
			} else {
				closeStore(t, s)
			}
			bruise(t, config(m), where[bad].PhysicalOffset+at, []byte{0x5A})
			s = open(t, config(m))
			if got := s.Stats().DamagedRanges; got != map[bool]int{true: 1}[kill] {
				t.Errorf("%s, kill %v: %d damaged ranges", what, kill, got)
			}
			got := names(t, s, s.Queue("T", 0), 0)
			if len(got) != n-1 || got[bad] != fmt.Sprintf("n%d", bad+1) {
				t.Errorf("%s, kill %v: got %v", what, kill, got)
			}
			if _, release, err := s.Record(where[bad].PhysicalOffset); !errors.Is(err, ErrNotFound) {
				t.Errorf("%s, kill %v: %v", what, kill, err)
				release()
			}
			closeStore(t, s)
		}
	}
	for _, crc := range []bool{false, true} {
		cfg := memConfig(vfs.NewMem())
		cfg.PropertyCRC, cfg.CheckReads = crc, CheckAll
		s := open(t, cfg)
		q := s.Queue("T", 0)
		var b Batch
		if err := b.Add(q, rec("forged", 10, message.PropertyCRC32, "1234567890\x02")); err != nil {
			t.Fatal(err)
		}
		if err := s.Append(&b); err != nil {
			t.Fatal(err)
		}
		dispatched(t, s)
		if got := names(t, s, q, 0); len(got) != 1 || got[0] != "forged" {
			t.Errorf("CRC %v: a message with a CRC of its sender: %v", crc, got)
		}
		closeStore(t, s)
	}
}
