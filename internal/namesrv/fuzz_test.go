// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package namesrv

import (
	"context"
	"encoding/binary"
	"os"
	"testing"

	"github.com/twostage/twostage/internal/vfs"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/wiretest"
)

// FuzzRequests sends frames as they come. Each request is answered, none panics,
// and what is in the routes has a broker.
func FuzzRequests(f *testing.F) {
	all, err := wiretest.Load(os.DirFS("../../testdata/golden/frames"))
	if err != nil {
		f.Fatal(err)
	}
	seeded := map[int32]int{}
	for _, s := range all {
		for _, frame := range s.Frames {
			if code := frame.Kind.Code; frame.To == "name server" && !frame.Kind.Response && seeded[code] < 3 {
				seeded[code]++
				f.Add(frame.Payload())
			}
		}
	}
	w := start(f, vfs.NewMem(), nil)
	f.Fuzz(func(t *testing.T, payload []byte) {
		var d wire.Decoder
		var req wire.Command
		if d.Decode(payload, &req) != nil || req.IsResponse() {
			return
		}
		nc, err := w.mem.Dial(context.Background(), w.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		conn := &rawConn{nc: nc}
		conn.write(t, append(binary.BigEndian.AppendUint32(nil, uint32(len(payload))), payload...))
		if !req.IsOneWay() {
			answer, err := conn.read()
			if err != nil {
				t.Fatal(err)
			}
			if answer.Opaque != req.Opaque || !answer.IsResponse() || answer.Code != wire.Success && len(answer.Remark) == 0 {
				t.Errorf("answer %+v", answer)
			}
		}
		if n := w.srv.remote.Stats().Panics; n > 0 {
			t.Fatalf("%d panics", n)
		}
		s := w.srv.current.Load()
		for _, topic := range s.topicNames(anyQueue).TopicList {
			if _, ok := s.route(topic); !ok {
				t.Fatalf("topic %q has no broker", topic)
			}
		}
	})
}
