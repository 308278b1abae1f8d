// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package access

import (
	"net/netip"
	"os"
	"testing"

	"github.com/twostage/twostage/internal/auth"
	"github.com/twostage/twostage/internal/remoting"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/wiretest"
)

var loopback = netip.MustParseAddr("127.0.0.1")

func TestFromHere(t *testing.T) {
	for _, c := range []struct {
		remote, local string
		here          bool
	}{
		{"127.0.0.1", "127.0.0.1", true}, {"::1", "::1", true}, {"::ffff:127.0.0.9", "127.0.0.1", true},
		{"10.0.0.5", "10.0.0.5", true}, {"10.0.0.6", "10.0.0.5", false}, {"172.17.0.1", "172.17.0.2", false},
	} {
		if FromHere(netip.MustParseAddr(c.remote), netip.MustParseAddr(c.local)) != c.here {
			t.Errorf("%s to %s: from here is %v", c.remote, c.local, !c.here)
		}
	}
	if FromHere(netip.Addr{}, netip.Addr{}) {
		t.Error("an unknown peer is from here")
	}
}

// TestRecordedSignatures verifies what official clients have signed: Java and Go, JSON
// headers, each with rocketmq2 / 12345678.
func TestRecordedSignatures(t *testing.T) {
	all, err := wiretest.Load(os.DirFS("../../testdata/golden/frames"))
	if err != nil {
		t.Fatal(err)
	}
	key, wrong := auth.NewKey("12345678"), auth.NewKey("12345679")
	seen := map[wire.Language]int{}
	var d wire.Decoder
	for _, s := range all {
		for _, f := range s.Frames {
			var cmd wire.Command
			if d.Decode(f.Payload(), &cmd) != nil || cmd.IsResponse() {
				continue
			}
			r := &remoting.Request{Command: &cmd}
			sig := signature(r)
			if sig == nil || f.To == "client" { // what a broker relays is signed for itself, and changed
				continue
			}
			seen[cmd.Language]++
			if !key.Verify(new(scratch).sort(r), cmd.Body, sig) {
				t.Errorf("%s: request %d of %v was refused", s.Name, cmd.Code, cmd.Language)
			}
			if wrong.Verify(new(scratch).sort(r), cmd.Body, sig) {
				t.Errorf("%s: another secret verifies", s.Name)
			}
		}
	}
	if seen[wire.LanguageJava] < 5 || seen[wire.LanguageGo] < 2 {
		t.Errorf("signed requests by language: %v", seen)
	}
}

// TestUniqueKeyQueryIsSignedByNewClients: up to V4_9_3 clients add the field behind the
// signature's back.
func TestUniqueKeyQueryIsSignedByNewClients(t *testing.T) {
	ext := wire.Fields{{Key: []byte("topic"), Value: []byte("t")}, {Key: []byte("_UNIQUE_KEY_QUERY"), Value: []byte("true")}}
	for version, fields := range map[int32]int{wire.VersionV493: 1, wire.VersionV494: 2} {
		r := &remoting.Request{Command: &wire.Command{Version: version, Ext: ext}}
		if n := len(new(scratch).sort(r)); n != fields {
			t.Errorf("version %d: %d fields are signed, want %d", version, n, fields)
		}
	}
}
