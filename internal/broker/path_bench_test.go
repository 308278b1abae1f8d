// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"syscall"
	"testing"

	"github.com/twostage/twostage/internal/vfs"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/header"
)

// BenchmarkPath is sends and pulls through the whole broker, from the socket to the
// socket, one or several in each write of the client. cpu-ns/op is the processor time
// of client and broker for one request.
func BenchmarkPath(b *testing.B) {
	for _, together := range []int{1, 32} {
		b.Run(fmt.Sprint("send/", together), func(b *testing.B) {
			h := sendHeader("T", "TAGS", "A", "UNIQ_KEY", "7F00000131BD4E0E2F2A6F7996560000", "WAIT", "true")
			benchmarkPath(b, together, &wire.Request{Code: wire.ReqSendMessageV2, Opaque: 7, Header: h, Body: bytes.Repeat([]byte("x"), 200)})
		})
		b.Run(fmt.Sprint("pull/", together), func(b *testing.B) {
			benchmarkPath(b, together, &wire.Request{Code: wire.ReqPullMessage, Opaque: 7, Header: &header.PullRequest{
				ConsumerGroup: []byte("g"), Topic: []byte("T"), MaxMsgNums: 1, SubVersion: 1}})
		})
	}
}

func benchmarkPath(b *testing.B, together int, req *wire.Request) {
	w := start(b, vfs.OS(), "storePathRootDir", b.TempDir(), "maxHashSlotNum", "1000000", "maxIndexNum", "4000000", "mappedFileSizeCommitLog", "1073741824", "mappedFileSizeConsumeQueue", "6000000")
	c := w.client()
	c.heartbeat("c", "g", "T", "*")
	c.send(sendHeader("T"), "a message")
	w.stored0(b, 1)
	nc, err := net.Dial("tcp", w.addr)
	if err != nil {
		b.Fatal(err)
	}
	defer nc.Close()
	burst := bytes.Repeat(wire.AppendRequest(nil, req), together)
	buf := make([]byte, 64<<10)
	round := func() {
		if _, err := nc.Write(burst); err != nil {
			b.Fatal(err)
		}
		for range together {
			if _, err := io.ReadFull(nc, buf[:4]); err != nil {
				b.Fatal(err)
			}
			if _, err := io.ReadFull(nc, buf[:binary.BigEndian.Uint32(buf)]); err != nil {
				b.Fatal(err)
			}
		}
	}
	for range 100 {
		round()
	}
	b.ResetTimer()
	before := cpuNanos(b)
	for n := 0; n < b.N; n += together {
		round()
	}
	b.ReportMetric(float64(cpuNanos(b)-before)/float64(b.N), "cpu-ns/op")
}

// cpuNanos is the processor time of this process.
func cpuNanos(b *testing.B) int64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return u.Utime.Nano() + u.Stime.Nano()
}
