// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package stats

import (
	"context"
	"fmt"
	"math"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/twostage/twostage/internal/store"
	"github.com/twostage/twostage/message"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is a Stats with a clock and a store of the test.
type world struct {
	*Stats
	t    *testing.T
	now  time.Time
	puts store.Puts
	gone map[string]bool

	timed int64 // put into the wheel
}

func start(t *testing.T) *world {
	w := &world{t: t, now: time.Date(2026, 3, 28, 23, 0, 0, 0, time.UTC), gone: map[string]bool{}}
	w.Stats = New(Config{Cluster: "c", Now: func() time.Time { return w.now }})
	w.Begin(Source{
		Puts:  func() store.Puts { return w.puts },
		Topic: func(name string) bool { return !w.gone[name] }, Group: func(name string) bool { return !w.gone[name] },
		Timed: func() (int64, int64) { return w.timed, w.timed / 2 },
	})
	return w
}

// pass lets time go by, as Run does.
func (w *world) pass(d time.Duration) {
	for end := w.now.Add(d); w.now.Before(end); {
		w.now = w.now.Add(time.Second)
		w.Sample()
	}
}

// view gives a counter's windows as text: sum, sum a second, average.
func (w *world) view(name, key string) string {
	w.t.Helper()
	v, err := w.View(name, key)
	if err != nil {
		w.t.Fatal(err)
	}
	text := ""
	for _, s := range []Span{v.Minute, v.Hour, v.Day} {
		text += fmt.Sprintf("%d %.3f %.1f; ", s.Sum, s.PerSecond, s.Average)
	}
	return strings.TrimSuffix(text, "; ")
}

func (w *world) want(name, key, want string) {
	w.t.Helper()
	if got := w.view(name, key); got != want {
		w.t.Errorf("%s %s after %v: %s, want %s", name, key, w.now.Sub(w.began), got, want)
	}
}

// TestWindows: what was counted is in the windows from at once until they have passed.
func TestWindows(t *testing.T) {
	w := start(t)
	w.pass(5 * time.Second)
	w.Sent("T", 4, 100, 5000, 2*time.Millisecond)
	w.want("TOPIC_PUT_NUMS", "T", "100 20.000 25.0; 100 20.000 25.0; 100 20.000 25.0")
	w.want("TOPIC_PUT_SIZE", "T", "5000 1000.000 1250.0; 5000 1000.000 1250.0; 5000 1000.000 1250.0")
	w.want("TOPIC_PUT_LATENCY", "T", "8 1.600 2.0; 8 1.600 2.0; 8 1.600 2.0")
	w.pass(55 * time.Second)
	w.want("TOPIC_PUT_NUMS", "T", "100 1.667 25.0; 100 1.667 25.0; 100 1.667 25.0")
	w.pass(9 * time.Second)
	w.want("TOPIC_PUT_NUMS", "T", "100 1.449 25.0; 100 1.449 25.0; 100 1.449 25.0")
	w.pass(time.Second)
	w.want("TOPIC_PUT_NUMS", "T", "0 0.000 0.0; 100 1.429 25.0; 100 1.429 25.0")
	w.In("T", 1, 50)
	w.pass(time.Hour - 70*time.Second)
	w.want("TOPIC_PUT_NUMS", "T", "0 0.000 0.0; 101 0.028 20.2; 101 0.028 20.2")
	w.pass(10 * time.Minute)
	w.want("TOPIC_PUT_NUMS", "T", "0 0.000 0.0; 0 0.000 0.0; 101 0.024 20.2")
	w.pass(23 * time.Hour)
	w.want("TOPIC_PUT_NUMS", "T", "0 0.000 0.0; 0 0.000 0.0; 101 0.001 20.2")
	w.pass(time.Hour)
	w.want("TOPIC_PUT_NUMS", "T", "0 0.000 0.0; 0 0.000 0.0; 0 0.000 0.0")
	w.In("T", 6, 1)
	w.want("TOPIC_PUT_NUMS", "T", "6 0.100 6.0; 6 0.002 6.0; 6 0.000 6.0")
}

// TestIdleCountersKeepNoSamples: memory is for what changes.
func TestIdleCountersKeepNoSamples(t *testing.T) {
	w := start(t)
	w.In("T", 1, 1)
	c, _ := w.in.lookup("T")
	w.pass(2 * time.Hour)
	if n := len(c.windows[minute].at) + len(c.windows[hour].at); n != 0 || len(c.windows[day].at) != 3 {
		t.Errorf("%d samples, %d of the day", n, len(c.windows[day].at))
	}
	for range 10 {
		w.pass(time.Hour)
		w.In("T", 1, 1)
	}
	w.pass(40 * time.Hour)
	for i, s := range c.windows {
		if cap(s.at) != 0 {
			t.Errorf("window %d keeps %d samples", i, cap(s.at))
		}
	}
	w.want("TOPIC_PUT_NUMS", "T", "0 0.000 0.0; 0 0.000 0.0; 0 0.000 0.0")
}

// TestNamesOfStatistics: RocketMQ's names and keys, and what is said of others.
func TestNamesOfStatistics(t *testing.T) {
	w := start(t)
	w.pass(10 * time.Second)
	w.In("T", 3, 30)
	w.In("%DLQ%g", 2, 20)
	w.In(message.TopicHalf, 5, 50)
	w.Out("g", "T", 4, 40, 2500*time.Microsecond)
	w.Out("g", "T", 1, 10, 500*time.Microsecond)
	w.Out("sys", message.TopicSchedule, 7, 70, 0)
	w.SentBack("g", "T")
	w.Popped("g", "T", 3)
	w.Acked("g", "T", 2)
	for name, want := range map[string]struct{ key, minute string }{
		"TOPIC_PUT_NUMS":                       {"T", "3 0.300 3.0"},
		"TOPIC_PUT_SIZE":                       {"T", "30 3.000 30.0"},
		"DLQ_PUT_NUMS":                         {"g", "2 0.200 2.0"},
		"GROUP_GET_NUMS":                       {"T@g", "5 0.500 2.5"},
		"GROUP_GET_SIZE":                       {"T@g", "50 5.000 25.0"},
		"GROUP_GET_LATENCY":                    {"T@g", "3 0.300 1.5"},
		"GROUP_CK_NUMS":                        {"T@g", "3 0.300 3.0"},
		"GROUP_ACK_NUMS":                       {"T@g", "2 0.200 2.0"},
		"SNDBCK_PUT_NUMS":                      {"T@g", "1 0.100 1.0"},
		"BROKER_PUT_NUMS":                      {"c", "10 1.000 0.0"},
		"BROKER_PUT_NUMS_WITHOUT_SYSTEM_TOPIC": {"c", "5 0.500 0.0"},
		"BROKER_GET_NUMS":                      {"c", "12 1.200 0.0"},
		"BROKER_GET_NUMS_WITHOUT_SYSTEM_TOPIC": {"c", "5 0.500 0.0"},
		"BROKER_CK_NUMS":                       {"c", "3 0.300 0.0"},
		"BROKER_ACK_NUMS":                      {"c", "2 0.200 0.0"},
	} {
		if got, _, _ := strings.Cut(w.view(name, want.key), ";"); got != want.minute {
			t.Errorf("%s %s: %s, want %s", name, want.key, got, want.minute)
		}
	}
	for _, tc := range []struct{ name, key, says string }{
		{"TOPIC_PUT_NUMS", "U", "stats <TOPIC_PUT_NUMS> <U> not exist: nothing was counted"},
		{"GROUP_GET_NUMS", "T", "nothing was counted"},
		{"GROUP_GET_NUMS", "g@T", "nothing was counted"},
		{"BROKER_PUT_NUMS", "other", "its key is the cluster, c"},
		{"QUEUE_PUT_NUMS", "T@0", "there are TOPIC_PUT_NUMS"},
		{"", "", "there are TOPIC_PUT_NUMS"},
	} {
		if _, err := w.View(tc.name, tc.key); err == nil || !strings.Contains(err.Error(), tc.says) {
			t.Errorf("%s %s: %v, want %q", tc.name, tc.key, err, tc.says)
		}
	}
	if got := fmt.Sprint(w.TopicPerSecond("T"), w.TopicPerSecond("U"), w.GroupPerSecond("g", "T"), w.GroupPerSecond("g", "U")); got != "0.3 0 0.5 0" {
		t.Errorf("a second: %s", got)
	}
}

// TestDeletedNamesAreForgotten at once where it is said, else within ten minutes; the
// broker's own counters go on.
func TestDeletedNamesAreForgotten(t *testing.T) {
	w := start(t)
	for _, topic := range []string{"T", "U", "V", "W"} {
		w.In(topic, 1, 1)
		for _, group := range []string{"g", "h"} {
			w.Out(group, topic, 1, 1, 0)
			w.SentBack(group, topic)
			w.Popped(group, topic, 1)
			w.Acked(group, topic, 1)
		}
	}
	left := func() string {
		n := []int{}
		for _, k := range []func(fn func()){
			func(fn func()) { w.in.each(func(string, *counter) { fn() }) },
			func(fn func()) { w.out.each(func(groupTopic, *counter) { fn() }) },
			func(fn func()) { w.back.each(func(groupTopic, *counter) { fn() }) },
			func(fn func()) { w.cks.each(func(groupTopic, *counter) { fn() }) },
			func(fn func()) { w.acks.each(func(groupTopic, *counter) { fn() }) },
		} {
			count := 0
			k(func() { count++ })
			n = append(n, count)
		}
		return fmt.Sprint(n)
	}
	for _, step := range []struct {
		do   func()
		want string
	}{
		{func() {}, "[4 8 8 8 8]"},
		{func() { w.ForgetTopics("T", "U", "none") }, "[2 4 4 4 4]"},
		{func() { w.ForgetGroup("h") }, "[2 2 2 2 2]"},
		{func() { w.gone["V"] = true; w.pass(9 * time.Minute) }, "[2 2 2 2 2]"},
		{func() { w.pass(time.Minute) }, "[1 1 1 1 1]"},
		{func() { w.gone["g"] = true; w.pass(10 * time.Minute) }, "[1 0 0 0 0]"},
	} {
		if step.do(); left() != step.want {
			t.Errorf("left %s, want %s", left(), step.want)
		}
	}
	if _, err := w.View("TOPIC_PUT_NUMS", "T"); err == nil {
		t.Error("a topic that is forgotten has statistics")
	}
	if v, _ := w.View("BROKER_PUT_NUMS", "c"); v.Hour.Sum != 4 {
		t.Errorf("the broker has %+v", v)
	}
	w.In("T", 2, 2) // made anew
	w.want("TOPIC_PUT_NUMS", "T", fmt.Sprintf("2 0.033 2.0; 2 %.3f 2.0; 2 %.3f 2.0", 2/w.now.Sub(w.began).Seconds(), 2/w.now.Sub(w.began).Seconds()))
}

// TestNamesAreBounded: beyond the limit the broker counts, but no name.
func TestNamesAreBounded(t *testing.T) {
	w := start(t)
	w.in.limit, w.out.limit = 3, 3
	for i := range 10 {
		w.In(fmt.Sprint(i), 1, 1)
		w.Out("g", fmt.Sprint(i), 1, 1, 0)
		w.In("0", 1, 1)
	}
	n := 0
	w.EachTopic(func(string, int64, int64) { n++ })
	w.EachGroup(func(string, string, int64, int64) { n++ })
	if n != 6 || w.Unnamed() != 14 {
		t.Errorf("%d names, %d times there was no room", n, w.Unnamed())
	}
	if v, _ := w.View("BROKER_PUT_NUMS", "c"); v.Minute.Sum != 20 {
		t.Errorf("the broker has %+v", v)
	}
	w.ForgetTopics("1")
	w.In("9", 1, 1)
	w.want("TOPIC_PUT_NUMS", "9", "1 0.000 1.0; 1 0.000 1.0; 1 0.000 1.0")
}

// TestCountingTogether: nothing is lost while names come, are read and go.
func TestCountingTogether(t *testing.T) {
	w := start(t)
	var group sync.WaitGroup
	for i := range 8 {
		group.Go(func() {
			for n := range 2000 {
				w.In("T", 1, 1)
				w.Out("g", fmt.Sprint("of ", i, n%100), 1, 1, time.Duration(n))
				if n%500 == 0 {
					w.ForgetTopics(fmt.Sprint("of ", i, n%100))
					w.Sample()
				}
			}
		})
	}
	group.Wait()
	w.EachTopic(func(topic string, n, bytes int64) {
		if topic != "T" || n != 16000 || bytes != 16000 {
			t.Errorf("%s: %d messages of %d bytes", topic, n, bytes)
		}
	})
	if d := w.Days(); d.Given != 16000 || w.SlowestGet() != 1999 {
		t.Errorf("%+v, slowest %v", d, w.SlowestGet())
	}
}

// TestRun: Run samples once a second, and ends.
func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Config{Cluster: "c", Now: time.Now})
		puts := int64(0)
		s.Begin(Source{Puts: func() store.Puts { puts += 5; return store.Puts{Records: puts} }, Topic: func(string) bool { return true }, Group: func(string) bool { return true },
			Timed: func() (int64, int64) { return 0, 0 }})
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- s.Run(ctx) }()
		time.Sleep(100 * time.Second) // of the bubble
		synctest.Wait()
		if r := s.Rates(); math.Abs(r.Put[0]-5) > 0.6 || math.Abs(r.Put[1]-5) > 0.2 || math.Abs(r.Put[2]-5) > 0.2 {
			t.Errorf("%+v", r)
		}
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
