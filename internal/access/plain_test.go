// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package access

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twostage/twostage/internal/auth"
	"github.com/twostage/twostage/internal/config"
	"github.com/twostage/twostage/internal/vfs"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/header"
)

// settle looks at the access files as often as it takes to use what they say.
func (w *world) settle() {
	w.guard.Reload()
	w.guard.Reload()
}

func TestAccessFilesAreReloaded(t *testing.T) {
	w := plainWorld(t, plainFile)
	w.mayNot(producer, wire.SystemError, "Topic:fresh", wire.ReqSendMessageV2, nil, text{"b", "fresh"})
	write(t, w.fs, strings.Replace(plainFile, "orders=PUB", "fresh=PUB", 1))
	w.settle()
	w.may(producer, wire.ReqSendMessageV2, nil, text{"b", "fresh"})
	write(t, w.fs, plainFile+"  broken: [\n")
	for range 3 {
		w.settle()
	}
	w.may(producer, wire.ReqSendMessageV2, nil, text{"b", "fresh"})
	if n := strings.Count(w.log.String(), "what they said before still holds"); n != 1 {
		t.Errorf("a broken file was reported %d times", n)
	}
	if err := vfs.MkdirAllSync(w.fs, "/conf/acl"); err != nil {
		t.Fatal(err)
	}
	write(t, w.fs, plainFile)
	if err := vfs.WriteFile(w.fs, "/conf/acl/more.yml", []byte("globalWhiteRemoteAddresses: [127.0.0.1]\n")); err != nil {
		t.Fatal(err)
	}
	w.settle()
	w.may(nobody, wire.ReqUpdateBrokerConfig, nil)
}

// TestHalfWrittenAccessFilesAreNotUsed, though they can be read: an empty one, and one
// whose white list ends in the middle of a network.
func TestHalfWrittenAccessFilesAreNotUsed(t *testing.T) {
	w := plainWorld(t, plainFile)
	const listed = plainFile + "globalWhiteRemoteAddresses:\n- 127.0.0.0/16\n"
	cut := strings.TrimSuffix(listed, "27.0.0.0/16\n") + "27.0.0.0/1"
	for _, half := range []string{"", listed[:strings.Index(listed, "  groupPerms")], cut} {
		write(t, w.fs, half)
		w.guard.Reload()
		w.may(producer, wire.ReqSendMessageV2, nil, text{"b", "orders"})
		w.mayNot(nobody, wire.SystemError, "No accessKey", wire.ReqUpdateBrokerConfig, nil)
		w.mayNot(admin, accountNotDeleted, "by hand", wire.ReqDeleteACLConfig, nil, text{"accessKey", "trusted"})
		if data, err := vfs.ReadFile(w.fs, "/conf/plain_acl.yml"); err != nil || string(data) != half {
			t.Errorf("a request has written over what is being written: %q, %v", data, err)
		}
	}
	write(t, w.fs, "\n")
	for range 3 {
		w.settle()
	}
	w.may(producer, wire.ReqSendMessageV2, nil, text{"b", "orders"})
	if n := strings.Count(w.log.String(), "is empty"); n != 1 {
		t.Errorf("an empty file was reported %d times:\n%s", n, w.log)
	}
	write(t, w.fs, "accounts: []\n")
	w.settle()
	w.mayNot(producer, wire.SystemError, "No acl config", wire.ReqSendMessageV2, nil, text{"b", "orders"})
}

// TestAccountsChangedAnywhereStay: whenever the broker is killed while it changes the
// file, the next one starts with the accounts from before or after.
func TestAccountsChangedAnywhereStay(t *testing.T) {
	stop := errors.New("stopped")
	for n := range 8 {
		m := vfs.NewMem()
		if err := vfs.MkdirAllSync(m, "/conf"); err != nil {
			t.Fatal(err)
		}
		write(t, m, plainFile)
		c := Options{Config: config.Access{Plain: true, PlainFile: "/conf/plain_acl.yml"}, Cluster: "c", FS: m}
		g := New(c)
		if err := g.Open(); err != nil {
			t.Fatal(err)
		}
		count := 0
		m.Fail(func(op vfs.Op, _ string) error {
			if !op.Changes() {
				return nil
			}
			if count++; count > n {
				return stop
			}
			return nil
		})
		changed := g.PutAccount(auth.Account{AccessKey: "newcomer", SecretKey: "top-secret-7"})
		if n == 0 && !errors.Is(changed, stop) || n == 7 && changed != nil {
			t.Fatalf("stopped before operation %d: %v", n, changed)
		}
		c.FS = m.Kill()
		next := New(c)
		if err := next.Open(); err != nil {
			t.Errorf("killed before operation %d: %v", n, err)
			continue
		}
		all := next.now.Load().plain.Subjects
		if all["administrator"] == nil || changed == nil && all["newcomer"] == nil {
			t.Errorf("killed before operation %d: accounts %v", n, all)
		}
	}
}

// TestALinkedAccessFileStaysLinked, and no copy with secrets is left beside it.
func TestALinkedAccessFileStaysLinked(t *testing.T) {
	dir := t.TempDir()
	real, link := filepath.Join(dir, "real.yml"), filepath.Join(dir, "plain_acl.yml")
	if err := errors.Join(os.WriteFile(real, []byte(plainFile), 0o644), os.Symlink(real, link)); err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, vfs.OS(), config.Access{Plain: true, PlainFile: link})
	w.may(admin, wire.ReqUpdateAndCreateACLConfig, nil, text{"accessKey", "newcomer"}, text{"secretKey", "top-secret-7"}, text{"topicPerms", "a=PUB"})
	if data, err := os.ReadFile(real); err != nil || !strings.Contains(string(data), "newcomer") {
		t.Errorf("the file behind the link: %s, %v", data, err)
	}
	if to, err := os.Readlink(link); err != nil || to != real {
		t.Errorf("the link leads to %q: %v", to, err)
	}
	if names, err := w.fs.ReadDir(dir); err != nil || len(names) != 2 {
		t.Errorf("there are %q, %v", names, err)
	}
}

// TestVersionsSayWhen a file's content came to be used; another file's change does not.
func TestVersionsSayWhen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := vfs.NewMem()
		if err := vfs.MkdirAllSync(m, "/conf/acl"); err != nil {
			t.Fatal(err)
		}
		write(t, m, plainFile)
		if err := vfs.WriteFile(m, "/conf/acl/more.yml", []byte("accounts: []\n")); err != nil {
			t.Fatal(err)
		}
		g := New(Options{Config: config.Access{Plain: true, PlainFile: "/conf/plain_acl.yml"}, Cluster: "c", FS: m})
		if err := g.Open(); err != nil {
			t.Fatal(err)
		}
		opened := time.Now()
		time.Sleep(time.Hour)
		if err := g.PutAccount(auth.Account{AccessKey: "newcomer", SecretKey: "top-secret-7"}); err != nil {
			t.Fatal(err)
		}
		v, err := g.Versions()
		if err != nil || !v["/conf/plain_acl.yml"].Used.Equal(opened.Add(time.Hour)) || !v["/conf/acl/more.yml"].Used.Equal(opened) {
			t.Errorf("%v, %v; opened at %v", v, err, opened)
		}
	})
	before := time.Now().UnixMilli()
	w := plainWorld(t, plainFile)
	var h header.ACLVersionResponse
	var main struct{ Counter, Timestamp int64 }
	if err := errors.Join(h.DecodeExt(w.ask(producer, wire.ReqGetBrokerClusterACLInfo, nil).Ext), json.Unmarshal([]byte(h.Version), &main)); err != nil {
		t.Fatal(err)
	}
	if main.Counter == 0 || main.Timestamp < before || main.Timestamp > time.Now().UnixMilli() {
		t.Errorf("answered with %+v", main)
	}
}
