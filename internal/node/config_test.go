// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package node

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/twostage/twostage/internal/config"
	"github.com/twostage/twostage/internal/remoting"
	"github.com/twostage/twostage/internal/rpc"
	"github.com/twostage/twostage/internal/vfs"
)

// Each server of a process writes its changes into its own file, and shows what was
// chosen at the start.
func TestConfigurationOverTheWire(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) config.File {
		t.Helper()
		f := config.File{Name: filepath.Join(dir, name), Text: []byte(text)}
		if err := os.WriteFile(f.Name, f.Text, 0o644); err != nil {
			t.Fatal(err)
		}
		return f
	}
	local := "listenPort=0\nbindAddress=127.0.0.1\n"
	brokerConf := file("broker.conf", local+"httpListenPort=0\nbrokerIP1=127.0.0.1\nmappedFileSizeCommitLog=1048576\nmaxHashSlotNum=100\nmaxIndexNum=100\n# how long\nfileReservedTime=48\n")
	namesrvConf := file("namesrv.conf", local+"# order\n")
	c, err := config.Load(config.Sources{DataDir: "/data", HostName: "host", BrokerFile: brokerConf, NamesrvFile: namesrvConf})
	if err != nil {
		t.Fatal(err)
	}
	r := start(t, c, config.RoleAll, vfs.NewMem())
	client := remoting.NewClient(remoting.ClientConfig{})
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()

	if note, err := rpc.UpdateBrokerConfig(ctx, client, r.fields["broker"], map[string]string{"fileReservedTime": "24"}); err != nil || note != "" {
		t.Errorf("%q, %v", note, err)
	}
	if note, err := rpc.UpdateNamesrvConfig(ctx, client, r.fields["namesrv"], map[string]string{"orderMessageEnable": "true"}); err != nil || note != "" {
		t.Errorf("%q, %v", note, err)
	}
	for name, want := range map[string]string{
		brokerConf.Name:  string(brokerConf.Text[:len(brokerConf.Text)-3]) + "24\n",
		namesrvConf.Name: string(namesrvConf.Text) + "orderMessageEnable=true\n",
	} {
		if text, err := os.ReadFile(name); err != nil || string(text) != want {
			t.Errorf("%s is %q, %v", name, text, err)
		}
	}
	keys, _, err := rpc.BrokerConfig(ctx, client, r.fields["broker"])
	if err != nil || keys["fileReservedTime"] != "24" || keys["namesrvAddr"] != r.fields["namesrv"] || "127.0.0.1:"+keys["listenPort"] != r.fields["broker"] {
		t.Errorf("%v, %v", keys, err)
	}
	if keys, err = rpc.NamesrvConfig(ctx, client, r.fields["namesrv"]); err != nil || keys["orderMessageEnable"] != "true" || "127.0.0.1:"+keys["listenPort"] != r.fields["namesrv"] {
		t.Errorf("%v, %v", keys, err)
	}
}
