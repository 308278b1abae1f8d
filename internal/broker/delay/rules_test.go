// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package delay

import (
	"bytes"
	"maps"
	"strings"
	"testing"

	"github.com/twostage/twostage/internal/skew"
	"github.com/twostage/twostage/internal/vfs"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/message"
)

func text(pairs ...string) []byte { return []byte(strings.Join(pairs, "\x02")) }

func TestRewrite(t *testing.T) {
	for _, c := range []struct {
		props, want []byte
		level       int
	}{
		{text("A\x01b"), nil, 0},
		{text("DELAY\x010"), nil, 0},
		{text("DELAY\x01-3"), nil, 0},
		{text("DELAY\x01x"), nil, 0},
		{text("DELAY\x01"), nil, 0},
		{text("DELAY\x012", "DELAY\x010"), nil, 0}, // the last counts
		{text("DELAY\x011"), text("DELAY\x011", "REAL_TOPIC\x01T", "REAL_QID\x017"), 1},
		{text("DELAY\x01+2", ""), text("DELAY\x01+2", "REAL_TOPIC\x01T", "REAL_QID\x017"), 2},
		{text("K\x01v", "DELAY\x013", "WAIT\x01true"), text("K\x01v", "DELAY\x013", "WAIT\x01true", "REAL_TOPIC\x01T", "REAL_QID\x017"), 3},
		{text("DELAY\x0140", "", "K\x01v"), text("K\x01v", "DELAY\x013", "REAL_TOPIC\x01T", "REAL_QID\x017"), 3},
		{text("DELAY\x0199999999999999999999"), text("DELAY\x013", "REAL_TOPIC\x01T", "REAL_QID\x017"), 3},
		{text("REAL_TOPIC\x01U", "REAL_QID\x013", "DELAY\x012"), text("DELAY\x012", "REAL_TOPIC\x01T", "REAL_QID\x017"), 2},
	} {
		for _, scratch := range []string{"", "before"} {
			level, out, ok := testLevels.Rewrite("T", 7, c.props, []byte(scratch))
			if ok != (c.level > 0) || level != c.level || string(out) != scratch+string(c.want) {
				t.Errorf("Rewrite(%q): %d, %q, %t; want %d, %q", c.props, level, out, ok, c.level, c.want)
			}
		}
		if got := testLevels.Level(c.props); got != c.level {
			t.Errorf("Level(%q) = %d, want %d", c.props, got, c.level)
		}
	}
	if _, _, ok := (Levels{}).Rewrite("T", 0, text("DELAY\x011"), nil); ok {
		t.Error("a delay without levels")
	}
}

func TestRewriteDoesNotAllocate(t *testing.T) {
	props, scratch := text("K\x01v", "DELAY\x0140", "WAIT\x01true"), make([]byte, 0, 256)
	if n := testing.AllocsPerRun(100, func() { _, _, _ = testLevels.Rewrite("topic", 1<<20, props, scratch) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzRewrite(f *testing.F) {
	f.Add("T", int32(1), []byte("DELAY\x0140\x02K\x01v\x02"))
	f.Add("%RETRY%g", int32(0), []byte("REAL_QID\x013\x02DELAY\x011"))
	f.Fuzz(func(t *testing.T, topic string, queue int32, props []byte) {
		if message.CheckTopic(topic) != nil {
			topic = "T"
		}
		before := bytes.Clone(props)
		level, out, ok := testLevels.Rewrite(topic, queue, props, []byte("x"))
		if !bytes.Equal(props, before) {
			t.Fatal("the input has changed")
		}
		if !ok {
			if string(out) != "x" || level != 0 {
				t.Fatalf("%d, %q", level, out)
			}
			return
		}
		want := message.ParseProperties(props)
		if atoi([]byte(want["DELAY"])) > len(testLevels) {
			want["DELAY"] = "3"
		}
		want["REAL_TOPIC"], want["REAL_QID"] = topic, string(appendInt(nil, int64(queue)))
		if got := message.ParseProperties(out[1:]); !maps.Equal(got, want) {
			t.Fatalf("%q becomes %q", props, out)
		}
		_, again, ok := testLevels.Rewrite(topic, queue, out[1:], nil)
		if !ok || !maps.Equal(message.ParseProperties(again), want) {
			t.Fatalf("%q becomes %q when rewritten again", out, again)
		}
	})
}

func FuzzDue(f *testing.F) {
	rec := sent("1", "body", message.PropertyRealTopic, "A", message.PropertyRealQueueID, "0")
	rec.Topic = []byte(message.TopicSchedule)
	f.Add(message.AppendRecord(nil, rec))
	f.Fuzz(func(t *testing.T, b []byte) {
		var rec message.Record
		target, err := due(&rec, b, &level{number: 1})
		if err == nil && (target != string(rec.Topic) || message.CheckStoredTopic(target) != nil || rec.QueueID < 0 || rec.Check() != nil) {
			t.Fatalf("%q is delivered as %+v", b, rec)
		}
	})
}

func FuzzOffsets(f *testing.F) {
	f.Add([]byte("{\n\t\"offsetTable\":{1:5,2:1,3:1,4:2\n\t}\n}"))
	f.Add([]byte(`{"dataVersion":{"counter":1,"timestamp":2},"offsetTable":{"1":5},"logOffset":7}`))
	f.Add([]byte(`{"offsetTable":{0:1}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		o, err := decodeOffsets(b)
		if err != nil {
			return
		}
		for level, offset := range o.OffsetTable {
			if level < 1 || offset < 0 {
				t.Fatalf("level %d at %d", level, offset)
			}
		}
	})
}

func TestDue(t *testing.T) {
	lv := level{delay: 700, old: 10, ahead: skew.Begin(1000)} // the wall clock is 1000 ahead; entries 0 to 9 are from before
	lv.ahead.Add(10, 1001, 0)                                 // rounding
	lv.ahead.Add(12, 5000, 0)                                 // set forward
	lv.ahead.Add(14, 3000, 0)                                 // and back
	for _, c := range []struct{ offset, deliver, want int64 }{
		{0, 1500, 500}, {0, 500, -500}, {9, 1700, 700}, {9, 1701, 700}, {9, -5, 700}, // 700 at most
		{10, 1701, 701}, {11, 2000, 1000}, {12, 6000, 1002}, {13, 6000, 1002}, {14, 6000, 3002}, {99, 6000, 3002},
	} {
		if got := lv.due(c.offset, c.deliver); got != c.want {
			t.Errorf("entry %d for %d is due at %d, want %d", c.offset, c.deliver, got, c.want)
		}
	}
}

func TestOffsetFile(t *testing.T) {
	read := func(main, bak string) (offsetFile, error) {
		m := vfs.NewMem()
		if err := m.MkdirAll("/data/config"); err != nil {
			t.Fatal(err)
		}
		for name, content := range map[string]string{offsetPath: main, offsetPath + ".bak": bak} {
			if content != "" {
				if err := vfs.WriteFile(m, name, []byte(content)); err != nil {
					t.Fatal(err)
				}
			}
		}
		s := &Service{cfg: Config{FS: m, Path: offsetPath, Logger: quiet}}
		return s.readOffsets()
	}
	const good = "{\"offsetTable\":{1:5}}"
	for _, c := range []struct {
		main, bak string
		want      int64
	}{{good, "", 5}, {"", good, 5}, {"{\"offs", good, 5}, {"", "", 0}, {"{\"offsetTable\":{\"1\":6},\"dataVersion\":{\"counter\":1}}", good, 6}} {
		if f, err := read(c.main, c.bak); err != nil || f.OffsetTable[1] != c.want {
			t.Errorf("%q, %q: %v, %v", c.main, c.bak, f, err)
		}
	}
	for _, c := range [][2]string{{"{\"offs", ""}, {"{\"offsetTable\":{1:-1}}", "[]"}, {"", "{"}, {"{\"offsetTable\":{1:5},\"logOffset\":-1}", ""}} {
		if f, err := read(c[0], c[1]); err == nil || !strings.Contains(err.Error(), offsetPath) {
			t.Errorf("%q, %q: %v, %v", c[0], c[1], f, err)
		}
	}
}

// TestOffsetFileForm: what RocketMQ reads is where it looks for it.
func TestOffsetFileForm(t *testing.T) {
	log := int64(70)
	data := encodeOffsets(offsetFile{OffsetTable: map[int32]int64{1: 5, 18: 2}, LogOffset: &log})
	if string(data) != "{\n\t\"logOffset\":70,\n\t\"offsetTable\":{1:5,18:2\n\t}\n}" {
		t.Errorf("%s", data)
	}
	var w body.DelayOffsetSerializeWrapper
	if err := body.Unmarshal(data, &w); err != nil || w.OffsetTable[18] != 2 {
		t.Errorf("%v, %v", w, err)
	}
}
