// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package deploy

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/twostage/twostage/internal/proctest"
	"github.com/twostage/twostage/internal/rpc"
	"github.com/twostage/twostage/test/rig"
)

// copied is the command of docs/deployment.md that copies a directory, with its
// holes.
func copied(t *testing.T, from, to string) {
	t.Helper()
	if out, errs, code := runIn(t, nil, "cp", "-aT", "--sparse=always", from, to); code != 0 {
		t.Fatalf("cp: exit code %d\n%s%s", code, out, errs)
	}
}

// verified runs `store verify`: no damage.
func verified(t *testing.T, data string) {
	t.Helper()
	must(t, "store", "verify", "--data", data, "--set", "maxHashSlotNum=1000", "--set", "maxIndexNum=4000")
}

// awaitOffset waits until the offset that fill has stored is on the disk.
func awaitOffset(t *testing.T, data string) {
	t.Helper()
	rig.Poll(t, "the offset of "+billing+" is on the disk", func() error {
		offsets, err := os.ReadFile(filepath.Join(data, "store/config/consumerOffset.json"))
		if err == nil && !strings.Contains(string(offsets), billing) {
			err = errors.New(string(offsets))
		}
		return err
	})
}

// A directory that was copied while the server was stopped is the whole server.
func TestBackupOfAStoppedServer(t *testing.T) {
	t.Parallel()
	data, backup := filepath.Join(t.TempDir(), "data"), filepath.Join(t.TempDir(), "backup")
	s := proctest.Start(t, all(data)...)
	fill(t, s)
	must(t, "topic", "create", "of-the-name-server", "--namesrv", s.Namesrv)
	stopped(t, s)
	verified(t, data)
	copied(t, data, backup)

	s.Restart(t) // and it goes on
	must(t, "topic", "send", orders, "after the backup", "--namesrv", s.Namesrv)
	stopped(t, s)
	if err := os.RemoveAll(data); err != nil {
		t.Fatal(err)
	}
	copied(t, backup, data) // restored to its place
	verified(t, data)
	s.Restart(t)
	wantContents(t, s)
	stopped(t, s)
	verified(t, data)
}

// What takes but a moment for the whole directory, as a snapshot of its file
// system does, is a backup of a running server: that of a machine whose power went,
// less what the disk had not been given. The moment is made here by holding the
// process still while its files are copied.
func TestBackupOfARunningServer(t *testing.T) {
	t.Parallel()
	data, backup := filepath.Join(t.TempDir(), "data"), filepath.Join(t.TempDir(), "backup")
	s := proctest.Start(t, all(data, "flushConsumerOffsetInterval=100")...)
	fill(t, s)
	awaitOffset(t, data)
	c, ctx := rig.Client(t), rig.Context(t)
	if err := rpc.CreateTopic(ctx, c, s.Broker, rig.TopicHeader("busy", 1)); err != nil {
		t.Fatal(err)
	}
	var load sync.WaitGroup
	acked, enough, end := 0, make(chan struct{}), make(chan struct{})
	load.Go(func() { // never stops sending
		for {
			select {
			case <-end:
				return
			default:
			}
			if _, err := rpc.Send(ctx, c, s.Broker, rig.SendHeader("busy", 0, fmt.Sprint("busy", acked)), []byte(fmt.Sprint(acked))); err != nil {
				t.Errorf("message %d: %v", acked, err)
				return
			}
			if acked++; acked == 200 {
				close(enough)
			}
		}
	})
	select {
	case <-enough:
	case <-ctx.Done():
		t.Fatal("the load does not get on")
	}
	if err := s.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	copied(t, data, backup)
	if err := s.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	close(end)
	load.Wait()
	if err := s.Kill(); err != nil {
		t.Fatal(err)
	}

	restored := proctest.Start(t, all(backup)...)
	if !strings.Contains(restored.Log(), "clean=false") {
		t.Error("the snapshot is one of a stopped server")
	}
	wantContents(t, restored)
	have := texts(t, c, restored.Broker, "busy", 0)
	if len(have) < 200 || len(have) > acked {
		t.Errorf("%d messages of %d, of which 200 were acknowledged before the snapshot", len(have), acked)
	}
	for i, text := range have {
		if text != fmt.Sprint(i) {
			t.Fatalf("message %d is %q", i, text)
		}
	}
	stopped(t, restored)
	verified(t, backup)
}

// The views need no backup: a log with the directory config/ is enough, and the
// next start makes the rest.
func TestRestoreWithoutViews(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	s := proctest.Start(t, all(data)...)
	fill(t, s)
	stopped(t, s)
	for _, view := range []string{"consumequeue", "index", "timerwheel", "timerlog", "config/timercheck", "transactions", "checkpoint"} {
		path := filepath.Join(data, "store", view)
		if _, err := os.Stat(path); err != nil && view != "timerlog" {
			t.Errorf("%s is none: %v", view, err)
		}
		if err := os.RemoveAll(path); err != nil {
			t.Fatal(err)
		}
	}
	s.Restart(t)
	wantContents(t, s)
	stopped(t, s)
	verified(t, data)
}
