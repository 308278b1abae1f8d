// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package message

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// The stores in testdata/golden were recorded from Apache RocketMQ 4.9.8; the
// manifests say what its own classes read from them.
const (
	goldenDir     = "../testdata/golden"
	goldenLogFile = 262144
)

var goldenStores = []string{"store-clean", "store-killed"}

type manifest struct {
	Config   map[string]string
	Blanks   []struct{ CommitLogOffset, Size, NextFile int64 }
	Messages []manifestMessage
}

type manifestMessage struct {
	CommitLogOffset           int64
	StoreSize                 int32
	Magic, Topic              string
	QueueID                   int32
	QueueOffset               int64
	SysFlag, Flag             int32
	BornTimestamp             int64
	StoreTimestamp            int64
	BornHost, StoreHost       string
	ReconsumeTimes            int32
	PreparedTransactionOffset int64
	BodyCRC                   uint32
	StoredBodyLength          int
	BodyLength                int
	BodySha256                string
	Properties                Properties
	Tags, Keys                string
	OffsetMsgID               string
	CQ                        *struct {
		Index, Offset int64
		Size          int32
		TagsCode      int64
	}
}

func loadManifest(t testing.TB, store string) (m manifest) {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(goldenDir, store+".manifest.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, &m); err != nil {
		t.Fatal(err)
	}
	if len(m.Messages) < 400 {
		t.Fatalf("%s: the manifest has %d messages", store, len(m.Messages))
	}
	return m
}

// loadLog returns the whole commit log; its files follow each other without gap.
func loadLog(t testing.TB, store string) (log []byte) {
	t.Helper()
	for {
		name := filepath.Join(goldenDir, store, "commitlog", fmt.Sprintf("%020d", len(log)))
		file, err := os.ReadFile(name)
		if errors.Is(err, os.ErrNotExist) && len(log) > 0 {
			return log
		}
		if err != nil {
			t.Fatal(err)
		}
		if len(file) != goldenLogFile {
			t.Fatalf("%s has %d bytes", name, len(file))
		}
		log = append(log, file...)
	}
}

// walk decodes everything in a commit log up to the first place without record.
func walk(t testing.TB, log []byte, onRecord func(at int64, raw []byte, r *Record), onBlank func(at, size int64)) {
	t.Helper()
	for at := 0; at < len(log); {
		var r Record
		end := (at/goldenLogFile + 1) * goldenLogFile
		n, err := DecodeRecord(log[at:end], &r, true)
		switch {
		case errors.Is(err, ErrBlank):
			if at+n != end {
				t.Fatalf("the blank at %d has %d bytes, the file ends after %d", at, n, end-at)
			}
			onBlank(int64(at), int64(n))
		case errors.Is(err, ErrMagic):
			if rest := bytes.Trim(log[at:], "\x00"); len(rest) > 0 {
				t.Fatalf("at %d: %v, and %d bytes follow that are not zero", at, err, len(rest))
			}
			return
		case err != nil:
			t.Fatalf("at %d: %v", at, err)
		default:
			onRecord(int64(at), log[at:at+n], &r)
		}
		at += n
	}
}

func TestGoldenStores(t *testing.T) {
	for _, store := range goldenStores {
		t.Run(store, func(t *testing.T) {
			m := loadManifest(t, store)
			delays := parseDelays(t, m.Config["messageDelayLevel"])
			messages, blanks := m.Messages, m.Blanks
			walk(t, loadLog(t, store), func(at int64, raw []byte, r *Record) {
				if len(messages) == 0 {
					t.Fatalf("a record at %d that the manifest does not have", at)
				}
				want := messages[0]
				messages = messages[1:]
				if at != want.CommitLogOffset {
					t.Fatalf("a record at %d, the manifest has it at %d", at, want.CommitLogOffset)
				}
				compareRecord(t, r, &want, delays)
				compareEncoding(t, raw, r)
				if t.Failed() {
					t.Fatalf("record at %d: %+v", at, want)
				}
			}, func(at, size int64) {
				if len(blanks) == 0 || blanks[0].CommitLogOffset != at || blanks[0].Size != size || blanks[0].NextFile != at+size {
					t.Fatalf("a blank of %d at %d, the manifest has %v", size, at, blanks)
				}
				if got := AppendBlank(nil, int32(size)); !bytes.Equal(got, loadLog(t, store)[at:at+BlankSize]) {
					t.Fatalf("blank encoded as %x", got)
				}
				blanks = blanks[1:]
			})
			if len(messages) > 0 || len(blanks) > 0 {
				t.Fatalf("%d messages and %d blanks not found", len(messages), len(blanks))
			}
		})
	}
}

func compareRecord(t *testing.T, r *Record, want *manifestMessage, delays []time.Duration) {
	t.Helper()
	same(t, "size", r.Size, want.StoreSize)
	same(t, "magic", fmt.Sprintf("%x", r.Magic), want.Magic)
	same(t, "topic", string(r.Topic), want.Topic)
	same(t, "queue id", r.QueueID, want.QueueID)
	same(t, "queue offset", r.QueueOffset, want.QueueOffset)
	same(t, "physical offset", r.PhysicalOffset, want.CommitLogOffset)
	same(t, "system flag", r.SysFlag, SysFlag(want.SysFlag))
	same(t, "flag", r.Flag, want.Flag)
	same(t, "born timestamp", r.BornTimestamp, want.BornTimestamp)
	same(t, "store timestamp", r.StoreTimestamp, want.StoreTimestamp)
	same(t, "born host", r.BornHost, netip.MustParseAddrPort(want.BornHost))
	same(t, "store host", r.StoreHost, netip.MustParseAddrPort(want.StoreHost))
	same(t, "reconsume times", r.ReconsumeTimes, want.ReconsumeTimes)
	same(t, "prepared offset", r.PreparedOffset, want.PreparedTransactionOffset)
	same(t, "body CRC", r.BodyCRC, want.BodyCRC)
	same(t, "stored body length", len(r.Body), want.StoredBodyLength)
	if got := ParseProperties(r.Properties); !maps.Equal(got, want.Properties) {
		t.Errorf("properties %q, want %q", got, want.Properties)
	}
	for name, value := range want.Properties {
		got, ok := r.Property(name)
		same(t, name, string(got), value)
		same(t, name+" there", ok, true)
	}

	same(t, "has consume queue entry", want.CQ != nil, true)
	tagsCode := r.TagsCode()
	if want.Topic == TopicSchedule {
		level, _ := strconv.Atoi(want.Properties[PropertyDelay])
		tagsCode = r.StoreTimestamp + delays[min(level, len(delays))-1].Milliseconds()
	}
	same(t, "tags code", tagsCode, want.CQ.TagsCode)
	same(t, "entry's size", r.Size, want.CQ.Size)
	same(t, "entry's index", r.QueueOffset, want.CQ.Index)
	raw := AppendRecord(nil, r)
	size, queueOffset, physicalOffset, stored := Position(raw)
	same(t, "position", [4]int64{int64(size), queueOffset, physicalOffset, stored},
		[4]int64{int64(want.StoreSize), want.CQ.Index, want.CQ.Offset, want.StoreTimestamp})

	got := NewReceived(r)
	same(t, "tags", got.Tags(), want.Tags)
	same(t, "keys", strings.Join(got.Keys(), " "), want.Keys)
	same(t, "offset id", got.OffsetID(), want.OffsetMsgID)
	host, offset, err := ParseOffsetID(want.OffsetMsgID)
	same(t, "offset id parsed", err, nil)
	same(t, "offset id's host", host, r.StoreHost)
	same(t, "offset id's offset", offset, r.PhysicalOffset)
	if err := got.Inflate(want.BodyLength); err != nil {
		t.Error(err)
	}
	same(t, "body length", len(got.Body), want.BodyLength)
	sum := sha256.Sum256(got.Body)
	same(t, "body", hex.EncodeToString(sum[:]), want.BodySha256)
}

// compareEncoding writes the record again, once at its place and once without
// knowing the place and patched.
func compareEncoding(t *testing.T, raw []byte, r *Record) {
	t.Helper()
	same(t, "encoded size", EncodedSize(r), len(raw))
	same(t, "check", r.Check(), nil)
	if got := AppendRecord([]byte("before"), r); string(got) != "before"+string(raw) {
		t.Errorf("encoded as\n%x, want\n%x", got, raw)
	}
	q := *r
	q.Size, q.Magic, q.BodyCRC = 0, 0, 0
	q.SysFlag &^= FlagBornHostV6 | FlagStoreHostV6
	q.QueueOffset, q.PhysicalOffset, q.StoreTimestamp = -1, -1, -1
	got := AppendRecord(nil, &q)
	if bytes.Equal(got, raw) {
		t.Error("the position is not in the encoding")
	}
	PatchPosition(got, r.QueueOffset, r.PhysicalOffset, r.StoreTimestamp)
	if !bytes.Equal(got, raw) {
		t.Errorf("patched to\n%x, want\n%x", got, raw)
	}
}

// The Java producers' UNIQ_KEYs name the loopback and the moment just before the
// born timestamp; the store was made in UTC.
func TestGoldenUniqueKeys(t *testing.T) {
	seen := 0
	for _, store := range goldenStores {
		for _, m := range loadManifest(t, store).Messages {
			id := m.Properties[PropertyUniqueKey]
			// Consumers and the broker keep the id of a message they store again,
			// so only first copies are near their born timestamp.
			if len(id) != 32 || m.ReconsumeTimes > 0 {
				continue
			}
			key, err := ParseUniqueKey(id)
			if err != nil {
				t.Fatal(err)
			}
			seen++
			born := time.UnixMilli(m.BornTimestamp).UTC()
			if gap := born.Sub(key.Time(born)); key.IP != netip.MustParseAddr("127.0.0.1") || gap < 0 || gap > 5*time.Second {
				t.Errorf("%s at %d: IP %v, made %v before the message", id, m.CommitLogOffset, key.IP, gap)
			}
			// A generator in the same process at the same moment makes the same id.
			g := NewIDGenerator(key.IP, int(key.PID), func() time.Time { return key.Time(born) })
			g.counter.Store(uint32(key.Counter))
			again := g.Next()
			if again[:12] != id[:12] || again[20:] != id[20:] {
				t.Errorf("generated %s, recorded %s", again, id)
			}
		}
	}
	if seen < 1000 {
		t.Errorf("only %d ids seen", seen)
	}
}

// Batches as the Java and the Go client sent them.
func TestGoldenBatches(t *testing.T) {
	for name, want := range map[string]int{"go-producer-batch": 3, "java-producer-batch": 3, "rocketmqser-producer-batch": 3} {
		batches := goldenBatches(t, name)
		if len(batches) == 0 {
			t.Errorf("%s: no batch found", name)
		}
		for _, batch := range batches {
			members := 0
			var again []byte
			err := RangeBatch(batch, func(flag int32, body, props []byte) error {
				members++
				if len(body) == 0 || flag != 0 {
					t.Errorf("%s: member with flag %d and body %q", name, flag, body)
				}
				again = AppendBatch(again, flag, body, props)
				return nil
			})
			if err != nil || members != want {
				t.Errorf("%s: %d members, %v", name, members, err)
			}
			if !bytes.Equal(again, batch) {
				t.Errorf("%s: encoded as\n%x, want\n%x", name, again, batch)
			}
		}
	}
}

// goldenBatches returns the bodies of the SEND_BATCH_MESSAGE frames in a file.
func goldenBatches(t testing.TB, scenario string) (all [][]byte) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(goldenDir, "frames", scenario+".txt"))
	if err != nil {
		t.Fatal(err)
	}
	for _, block := range strings.Split(string(text), "\n--- frame ") {
		if !strings.Contains(block, "kind: request 320 ") {
			continue
		}
		_, digits, _ := strings.Cut(block, "\nhex:\n")
		digits, _, _ = strings.Cut(digits, "\nheader:")
		frame, err := hex.DecodeString(strings.ReplaceAll(digits, "\n", ""))
		if err != nil || len(frame) < 8 {
			t.Fatalf("%s: %v in %q", scenario, err, digits)
		}
		header := int(frame[5])<<16 | int(frame[6])<<8 | int(frame[7])
		all = append(all, frame[8+header:])
	}
	return all
}

func parseDelays(t *testing.T, levels string) (all []time.Duration) {
	t.Helper()
	for _, s := range strings.Fields(levels) {
		if days, ok := strings.CutSuffix(s, "d"); ok {
			n, _ := strconv.Atoi(days)
			s = fmt.Sprintf("%dh", 24*n)
		}
		d, err := time.ParseDuration(s)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, d)
	}
	return all
}

func same[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}
