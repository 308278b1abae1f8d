// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package hostile

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/twostage/twostage/internal/remoting"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/test/rig"
)

func newClient() *remoting.Client {
	return remoting.NewClient(remoting.ClientConfig{Language: wire.LanguageJava, Version: wire.Version})
}

// TestServer runs the attacks one after the other on one server.
func TestServer(t *testing.T) {
	tg := newTarget(t)
	for _, attack := range []struct {
		name string
		run  func(*testing.T, *target)
	}{
		{"lengths", lengths},
		{"half frames", halfFrames},
		{"large frames that never end", neverEnding},
		{"garbage", garbage},
		{"header of 10 MB", hugeHeader},
		{"bad headers", badHeaders},
		{"2000 idle connections", idle},
		{"answers never read", neverReads},
	} {
		t.Run(attack.name, func(t *testing.T) { attack.run(t, tg) })
		if t.Failed() {
			break
		}
	}
	tg.wantHealthy(t)
}

// lengths: frames whose length cannot be.
func lengths(t *testing.T, tg *target) {
	stop := tg.watch(t, 32*mib)
	for _, n := range []int32{0, 1, 3, -1, -4, -1 << 31, 1<<31 - 1, wire.MaxFrame + 1} {
		conn := tg.dial(t)
		write(conn, binary.BigEndian.AppendUint32(nil, uint32(n)))
		write(conn, make([]byte, 64))
		wantClosed(t, fmt.Sprintf("a frame of %d bytes", n), conn)
	}
	// A header that is longer than its frame, and one of an encoding that is none.
	for _, mark := range []uint32{100, 0xFFFFFF, 7 << 24, 0xFF000000} {
		conn := tg.dial(t)
		write(conn, binary.BigEndian.AppendUint32([]byte{0, 0, 0, 20}, mark))
		write(conn, make([]byte, 16))
		wantClosed(t, fmt.Sprintf("a header marked %#x in a frame of 20 bytes", mark), conn)
	}
	tg.others(t)
	stop()
}

// halfFrames: 300 connections that stop in the middle of a frame, each at
// another byte, and then say no more.
func halfFrames(t *testing.T, tg *target) {
	frame := wire.AppendRequest(nil, &wire.Request{
		Code: wire.ReqSendMessageV2, Header: rig.SendHeader(topic, 0, "half"), Body: make([]byte, 100), Language: wire.LanguageJava, Version: wire.Version,
	})
	stop := tg.watch(t, 64*mib)
	for i := range 300 {
		write(tg.dial(t), frame[:i%(len(frame)-1)+1])
	}
	tg.others(t)
	stop()
}

// neverEnding: 100 connections announce 16 MiB and bring 64 KiB. What they
// announce is 1600 MiB.
func neverEnding(t *testing.T, tg *target) {
	stop := tg.watch(t, 96*mib)
	head := binary.BigEndian.AppendUint32(nil, wire.MaxFrame)
	head = append(head, make([]byte, 64<<10)...)
	head[7] = 100 // a header of 100 bytes
	for range 100 {
		write(tg.dial(t), head)
	}
	tg.others(t)
	stop()
}

// garbage: random bytes, and other protocols' first words.
func garbage(t *testing.T, tg *target) {
	rng := rand.New(rand.NewPCG(1, 2))
	stop := tg.watch(t, 64*mib)
	for range 200 {
		b := make([]byte, 1+rng.IntN(8192))
		for i := range b {
			b[i] = byte(rng.Uint32())
		}
		b[0] |= 0x80 // no length that could be waited for
		conn := tg.dial(t)
		write(conn, b)
		if len(b) >= 4 {
			wantClosed(t, "garbage", conn)
		}
	}
	for _, words := range []string{
		"GET / HTTP/1.1\r\nHost: broker\r\n\r\n", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "SSH-2.0-OpenSSH_9.9\r\n", strings.Repeat("\xff", 4096),
	} {
		conn := tg.dial(t)
		write(conn, []byte(words))
		wantClosed(t, fmt.Sprintf("%.10q", words), conn)
	}
	tg.others(t)
	stop()
}

// hugeHeader: 8 connections with a header of 10 MB, in both encodings.
func hugeHeader(t *testing.T, tg *target) {
	const size = 10 << 20
	stop := tg.watch(t, 128*mib)
	for i := range 8 {
		var h []byte
		if i%2 == 0 {
			h = append([]byte(`{"code":10,"opaque":1,"extFields":{"a":"`), bytes.Repeat([]byte("x"), size)...)
		} else {
			h = make([]byte, size)
		}
		h = h[:size]
		frame := binary.BigEndian.AppendUint32(nil, size+4)
		frame = binary.BigEndian.AppendUint32(frame, uint32(i%2)<<24|size)
		conn := tg.dial(t)
		write(conn, append(frame, h...))
		wantClosed(t, "a header of 10 MB", conn)
	}
	tg.others(t)
	stop()
}

// badHeaders: frames that are well formed and make no sense. Whether each is
// answered or ends the connection is left open; the rest is not.
func badHeaders(t *testing.T, tg *target) {
	stop := tg.watch(t, 64*mib)
	headers := []string{
		"", "{", "null", "[]", `"x"`, "{}", `{"code":"x"}`, `{"code":99999999999999999999}`, `{"code":10,"opaque":1}`,
		`{"code":310,"opaque":1,"extFields":{}}`, `{"code":310,"opaque":1,"extFields":{"b":"` + strings.Repeat("t", 30000) + `"}}`,
		`{"code":11,"opaque":1,"extFields":{"queueId":"-1","queueOffset":"-9223372036854775808","topic":"Target","maxMsgNums":"2147483647","sysFlag":"-1","commitOffset":"0","consumerGroup":"g","suspendTimeoutMillis":"9223372036854775807","subVersion":"0"}}`,
		strings.Repeat(`{"extFields":`, 5000), `{"code":10,"extFields":{"a":"` + "\x00\xff\xfe" + `"}}`, `{"code":34,"opaque":1}`, `{"code":41,"opaque":1}`,
	}
	for code := range int32(1200) { // every code there is or could be, without what it needs
		headers = append(headers, fmt.Sprintf(`{"code":%d,"flag":0,"language":"JAVA","opaque":%d,"version":409}`, code, code))
	}
	for i, h := range headers {
		frame := binary.BigEndian.AppendUint32(nil, uint32(len(h)+4+3))
		frame = binary.BigEndian.AppendUint32(frame, uint32(len(h)))
		frame = append(append(frame, h...), "{]}"...)
		conn := tg.dial(t)
		write(conn, frame)
		if i%50 == 0 {
			tg.others(t)
		}
		_ = conn.Close()
	}
	tg.others(t)
	stop()
}

// idle: 2000 connections that say nothing.
func idle(t *testing.T, tg *target) {
	before := tg.sockets(t)
	stop := tg.watch(t, 96*mib)
	var conns []net.Conn
	for range 2000 {
		conns = append(conns, tg.dial(t))
	}
	rig.Poll(t, "the server has accepted all", func() error {
		if n := tg.sockets(t); n < before+2000 {
			return fmt.Errorf("%d sockets", n)
		}
		return nil
	})
	tg.others(t)
	stop()
	for _, c := range conns {
		_ = c.Close()
	}
	rig.Poll(t, "the server has closed all", func() error {
		if n := tg.sockets(t); n > before+5 {
			return fmt.Errorf("%d sockets, %d before", n, before)
		}
		return nil
	})
}

// neverReads: clients that pipeline pulls, and sends, and read no answer. The
// server must stop taking their requests. (That it gives them up in the end is
// held by the tests of internal/remoting, which need not wait for it.)
func neverReads(t *testing.T, tg *target) {
	pulls, sends := []byte(nil), []byte(nil)
	for i := range int32(256) {
		req := &wire.Request{Code: wire.ReqPullMessage, Opaque: i, Header: rig.PullHeader(topic, i%queues, 0), Language: wire.LanguageJava, Version: wire.Version}
		pulls = wire.AppendRequest(pulls, req)
		*req = wire.Request{Code: wire.ReqSendMessageV2, Opaque: i, Header: rig.SendHeader(topic, i%queues, fmt.Sprintf("deaf-%d", i)), Body: make([]byte, 16), Language: wire.LanguageJava, Version: wire.Version}
		sends = wire.AppendRequest(sends, req)
	}
	// Each may have 8 MiB of answers waiting; the records of pulls are not even
	// copied. On top of that comes what the messages of the senders cost.
	defer tg.watch(t, 192*mib)()
	const clients = 6
	var taken [clients]atomic.Int64 // bytes of requests
	var wg sync.WaitGroup
	var conns [clients]*net.TCPConn
	defer func() {
		for _, c := range conns {
			_ = c.Close()
		}
		wg.Wait()
	}()
	for i := range clients {
		conns[i] = tg.dial(t)
		if err := conns[i].SetReadBuffer(4096); err != nil {
			t.Fatal(err)
		}
		batch := pulls
		if i%2 == 1 {
			batch = sends
		}
		wg.Go(func() {
			for {
				n, err := conns[i].Write(batch)
				taken[i].Add(int64(n))
				if err != nil {
					return
				}
			}
		})
	}
	var before [clients]int64
	rig.Poll(t, "the server takes no more requests of who reads no answers", func() error {
		tg.others(t)
		tg.others(t)
		for i := range taken {
			n := taken[i].Load()
			if n != before[i] {
				err := fmt.Errorf("client %d: %d KiB taken, %d before", i, n>>10, before[i]>>10)
				before[i] = n
				return err
			}
		}
		return nil
	})
	for i := range taken {
		// A send costs about 350 bytes and its answer about 200, so 8 MiB of
		// answers are some 15 MiB of requests; the sockets' buffers come on top.
		n := taken[i].Load()
		t.Logf("client %d: %d KiB of requests taken", i, n>>10)
		if n > 48*mib {
			t.Errorf("client %d, which reads nothing: %d KiB of requests were taken", i, n>>10)
		}
	}
}
