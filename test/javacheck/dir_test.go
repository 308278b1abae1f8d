// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package javacheck

import (
	"fmt"
	"net/netip"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/twostage/twostage/internal/vfs"
	"github.com/twostage/twostage/message"
)

// begun is the clock when a directory of directory begins; a second a record.
const begun = 1_700_000_000_000

// directory writes a store directory by hand, record by record.
type directory struct {
	t          *testing.T
	fs         *vfs.Mem
	log        []byte
	fileSize   int
	half, op   int64 // next queue offsets
	now        int64
	halves     map[int64]*message.Record
	properties map[int64]string
}

func newDirectory(t *testing.T) *directory {
	return &directory{t: t, fs: vfs.NewMem(), fileSize: 64 << 10, now: begun, halves: map[int64]*message.Record{}, properties: map[int64]string{}}
}

// store appends a record; it gives the physical offset.
func (d *directory) store(r message.Record, properties string) int64 {
	d.t.Helper()
	d.now += 1000
	r.StoreTimestamp, r.Properties = d.now, []byte(properties)
	host := netip.MustParseAddrPort("127.0.0.1:10911")
	r.StoreHost = host
	if !r.BornHost.IsValid() {
		r.BornHost = host
	}
	if r.BornTimestamp == 0 {
		r.BornTimestamp = d.now
	}
	rest := d.fileSize - len(d.log)%d.fileSize
	if message.EncodedSize(&r)+message.BlankSize > rest {
		d.log = message.AppendBlank(d.log, int32(rest))
		d.log = append(d.log, make([]byte, rest-message.BlankSize)...)
	}
	r.PhysicalOffset = int64(len(d.log))
	d.log = message.AppendRecord(d.log, &r)
	return r.PhysicalOffset
}

// sent stores a half message of group g and gives its queue offset. more are
// further properties: names and values.
func (d *directory) sent(key string, more ...string) int64 {
	d.t.Helper()
	return d.addHalf(message.Record{Body: []byte("body")}, key, more)
}

// copied stores a half message again, as a check of Java's does.
func (d *directory) copied(of int64, key string, more ...string) int64 {
	d.t.Helper()
	o := d.halves[of]
	return d.addHalf(message.Record{Body: o.Body, BornTimestamp: o.BornTimestamp, BornHost: o.BornHost}, key, more)
}

func (d *directory) addHalf(r message.Record, key string, more []string) int64 {
	p := message.AppendProperty(nil, "PGROUP", "g")
	p = message.AppendProperty(p, "REAL_TOPIC", "t")
	p = message.AppendProperty(p, "TRAN_MSG", "true")
	if key != "" {
		p = message.AppendProperty(p, "UNIQ_KEY", key)
	}
	for i := 0; i < len(more); i += 2 {
		p = message.AppendProperty(p, more[i], more[i+1])
	}
	r.Topic, r.QueueOffset = []byte(halfTopic), d.half
	if r.BornTimestamp == 0 {
		r.BornTimestamp = d.now + 1000
		r.BornHost = netip.MustParseAddrPort("127.0.0.1:50000")
	}
	r.PhysicalOffset = d.store(r, string(p))
	d.halves[d.half], d.properties[d.half] = &r, string(p)
	d.half++
	return r.QueueOffset
}

// committed stores the committed record of a half message, without op record.
func (d *directory) committed(half int64) (physical int64) {
	d.t.Helper()
	h := d.halves[half]
	return d.store(message.Record{
		Topic: []byte("t"), Body: h.Body, BornTimestamp: h.BornTimestamp, BornHost: h.BornHost,
		SysFlag: message.TransactionCommit, PreparedOffset: h.PhysicalOffset,
	}, d.properties[half])
}

// parked stores the copy of a discarded half message.
func (d *directory) parked(half int64) {
	d.t.Helper()
	h := d.halves[half]
	d.store(message.Record{Topic: []byte(parkedTopic), Body: h.Body, BornTimestamp: h.BornTimestamp, BornHost: h.BornHost}, d.properties[half])
}

// ops stores an op record for each half message.
func (d *directory) ops(halves ...int64) {
	d.t.Helper()
	for _, half := range halves {
		d.opRecord(strconv.FormatInt(half, 10), opTag)
	}
}

func (d *directory) opRecord(body, tags string) {
	d.t.Helper()
	d.store(message.Record{Topic: []byte(opTopic), QueueOffset: d.op, Body: []byte(body)}, string(message.AppendProperty(nil, "TAGS", tags)))
	d.op++
}

// run plays the loop over what was stored, from these consumer offsets.
func (d *directory) run(half, op int64, o Options) *Report {
	d.t.Helper()
	d.write(fmt.Sprintf(`{"offsetTable":{"%s@%s":{0:%d},"%s@%s":{0:%d}}}`, halfTopic, checkGroup, half, opTopic, checkGroup, op))
	r, err := Run(d.fs, "store", o)
	if err != nil {
		d.t.Fatal(err)
	}
	return r
}

// write makes the files; offsets "" makes no consumerOffset.json.
func (d *directory) write(offsets string) {
	d.t.Helper()
	for _, dir := range []string{"store/commitlog", "store/config"} {
		if err := d.fs.MkdirAll(dir); err != nil {
			d.t.Fatal(err)
		}
	}
	for at := 0; at <= len(d.log); at += d.fileSize {
		file := make([]byte, d.fileSize) // the last one is zeros at its end
		copy(file, d.log[at:])
		d.file(filepath.Join("store/commitlog", fmt.Sprintf("%020d", at)), file)
	}
	if offsets != "" {
		d.file("store/config/consumerOffset.json", []byte(offsets))
	}
}

func (d *directory) file(name string, data []byte) {
	d.t.Helper()
	if err := vfs.WriteFile(d.fs, name, data); err != nil {
		d.t.Fatal(err)
	}
}

// offsets are the queue offsets of half messages.
func offsets(list []Half) []int64 {
	all := []int64{}
	for _, h := range list {
		all = append(all, h.QueueOffset)
	}
	return all
}
