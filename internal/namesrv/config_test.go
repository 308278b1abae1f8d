// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package namesrv

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/twostage/twostage/internal/config"
	"github.com/twostage/twostage/internal/rpc"
	"github.com/twostage/twostage/internal/vfs"
	"github.com/twostage/twostage/internal/wire"
)

// fromFile gives a name server that was started with a file.
func fromFile(t *testing.T, text string) (o func(*Options), file string) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "namesrv.conf")
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	c, err := config.Load(config.Sources{Role: config.RoleNamesrv, NamesrvFile: config.File{Name: file, Text: []byte(text)}})
	if err != nil {
		t.Fatal(err)
	}
	return func(o *Options) { o.Live = c.LiveNamesrv() }, file
}

// Routes carry the order configuration once orderMessageEnable says so.
func TestNamesrvConfig(t *testing.T) {
	o, file := fromFile(t, "# ours\norderMessageEnable=false\n")
	w := start(t, vfs.NewMem(), o)
	c, ctx := w.client(), context.Background()
	w.register(c, newNode("a", 0, 1, "T"))
	if err := rpc.PutKV(ctx, c, w.addr, orderNamespace, "T", "a:4"); err != nil {
		t.Fatal(err)
	}
	order := func() string {
		t.Helper()
		r, err := rpc.Route(ctx, c, w.addr, "T")
		if err != nil {
			t.Fatal(err)
		}
		return r.OrderTopicConf
	}
	if got := order(); got != "" {
		t.Errorf("order configuration %q", got)
	}
	if note, err := rpc.UpdateNamesrvConfig(ctx, c, w.addr, map[string]string{"orderMessageEnable": "true"}); err != nil || note != "" {
		t.Errorf("%q, %v", note, err)
	}
	if got := order(); got != "a:4" {
		t.Errorf("order configuration %q", got)
	}
	if err := rpc.DeleteKV(ctx, c, w.addr, orderNamespace, "T"); err != nil || order() != "" {
		t.Errorf("after its deletion: %q, %v", order(), err)
	}
	keys, err := rpc.NamesrvConfig(ctx, c, w.addr)
	if err != nil || keys["orderMessageEnable"] != "true" || keys["kvConfigPath"] == "" || !strings.HasSuffix(w.addr, ":"+keys["listenPort"]) {
		t.Errorf("%v, %v", keys, err)
	}
	conn := w.dialRaw()
	for text, want := range map[string]int32{
		"orderMessageEnable=false\nkvConfigPath=/etc/passwd": wire.NoPermission, "orderMessageEnable=false\nconfigStorePath=/etc/passwd": wire.NoPermission,
		"orderMessageEnable=false\nrocketmqHome=/tmp": wire.NoPermission, "orderMessageEnable=maybe": wire.InvalidParameter,
		"orderMessageEnable=false\nnonsense=1": wire.InvalidParameter, "": wire.InvalidParameter,
	} {
		answer := conn.ask(t, &wire.Request{Code: wire.ReqUpdateNamesrvConfig, Body: []byte(text)})
		if answer.Code != want || !strings.Contains(string(answer.Remark), "nothing was changed") {
			t.Errorf("%q: %d %s", text, answer.Code, answer.Remark)
		}
	}
	text, err := os.ReadFile(file)
	if err != nil || string(text) != "# ours\norderMessageEnable=true\n" {
		t.Errorf("the file is %q, %v", text, err)
	}
}
