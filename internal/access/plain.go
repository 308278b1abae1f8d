// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package access

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/twostage/twostage/internal/auth"
	"github.com/twostage/twostage/internal/vfs"
)

// reloadEvery is how often access files are looked at.
const reloadEvery = time.Second

// Run reloads access files that have changed, until ctx ends.
func (g *Guard) Run(ctx context.Context) error {
	if !g.cfg.Plain {
		<-ctx.Done()
		return nil
	}
	tick := time.NewTicker(reloadEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			g.Reload()
		}
	}
}

// Reload looks at the access files and, if they say something else than what is used,
// and said it at the last look as well, uses them: so one that is just being written is
// not. Files that can't be used leave everything as it is, which is logged.
func (g *Guard) Reload() {
	g.mu.Lock()
	defer g.mu.Unlock()
	files, err := g.readPlain()
	settled := maps.Equal(files, g.found)
	g.found = files
	if err == nil {
		switch {
		case maps.Equal(files, g.files):
			g.bad = ""
			return
		case !settled:
			return
		}
		if err = g.emptied(files); err == nil {
			err = g.usePlain(files)
		}
	}
	switch {
	case err == nil:
		g.bad = ""
		g.log.Info("access files have changed and are used", "accounts", len(g.now.Load().plain.Subjects))
	case err.Error() != g.bad:
		g.bad = err.Error()
		g.log.Error("access files can't be used: what they said before still holds", "error", err)
	}
}

// emptied is an error for a file that holds nothing any more: that is how a write
// begins, or how one has failed.
func (g *Guard) emptied(files map[string]string) error {
	for _, path := range slices.Sorted(maps.Keys(files)) {
		if text := files[path]; text != g.files[path] && strings.Trim(text, " \t\r\n\x00") == "" {
			return fmt.Errorf("%s is empty: for no accounts write the line accounts: []", path)
		}
	}
	return nil
}

// readPlain reads plain_acl.yml and the files beside it in acl/, by path. Without
// either it is an error.
func (g *Guard) readPlain() (map[string]string, error) {
	files := map[string]string{}
	add := func(path string) error {
		data, err := vfs.ReadFile(g.fs, path)
		if err == nil {
			files[path] = string(data)
		}
		return err
	}
	if err := add(g.cfg.PlainFile); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	dir := filepath.Join(filepath.Dir(g.cfg.PlainFile), "acl")
	entries, err := g.fs.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	for _, name := range entries {
		if strings.HasSuffix(name, ".yml") || strings.HasSuffix(name, ".yaml") {
			if err := add(filepath.Join(dir, name)); err != nil {
				return nil, err
			}
		}
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("there is neither %s nor a file *.yml in %s: write one, or name it with the key aclFile", g.cfg.PlainFile, dir)
	}
	return files, nil
}

// usePlain makes the files what holds. g.mu is held.
func (g *Guard) usePlain(files map[string]string) error {
	all, err := g.compilePlain(files)
	if err != nil {
		return err
	}
	now, used := time.Now(), make(map[string]time.Time, len(files))
	for path, text := range files {
		used[path] = now
		if old, ok := g.files[path]; ok && old == text {
			used[path] = g.used[path]
		}
	}
	g.files, g.used = files, used
	g.now.Store(&state{users: g.now.Load().users, plain: all})
	return nil
}

// compilePlain makes the files ready to be asked, with the account that servers use
// among themselves.
func (g *Guard) compilePlain(files map[string]string) (*auth.Plain, error) {
	all := &auth.Plain{Subjects: map[string]*auth.Subject{}}
	for _, path := range slices.Sorted(maps.Keys(files)) {
		f, err := auth.ParsePlain([]byte(files[path]))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		p, err := f.Compile()
		if err == nil {
			err = all.Add(p)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
	}
	if in := g.cfg.Inner; in.Name != "" && !g.cfg.Authentication && all.Subjects[in.Name] == nil {
		f := auth.PlainFile{}
		if err := f.Put(auth.Account{AccessKey: in.Name, SecretKey: in.Reveal(), Admin: true}); err != nil {
			return nil, fmt.Errorf("innerClientAuthenticationCredentials: %w", err)
		}
		p, err := f.Compile()
		if err != nil {
			return nil, err
		}
		maps.Copy(all.Subjects, p.Subjects)
	}
	return all, nil
}

// ErrNoPlain: there are no access files.
var ErrNoPlain = errors.New("accounts are kept only with aclEnable=true: set it in the server's configuration")

// PutAccount adds an account to plain_acl.yml, or changes it in the file that has it:
// its empty fields stay as they were. It is on disk when PutAccount returns.
func (g *Guard) PutAccount(a auth.Account) error {
	return g.edit(func(path string, f *auth.PlainFile) bool {
		return slices.ContainsFunc(f.Accounts, func(b auth.Account) bool { return a.AccessKey == b.AccessKey })
	}, func(f *auth.PlainFile) error { return f.Put(a) })
}

// DeleteAccount deletes an account from the file that has it.
func (g *Guard) DeleteAccount(accessKey string) error {
	return g.edit(func(path string, f *auth.PlainFile) bool {
		return slices.ContainsFunc(f.Accounts, func(b auth.Account) bool { return accessKey == b.AccessKey })
	}, func(f *auth.PlainFile) error { return f.Delete(accessKey) })
}

// PutGlobalWhite replaces the global white list of the file with that path, of
// plain_acl.yml when it is empty. Any other file than the access files is refused.
func (g *Guard) PutGlobalWhite(list []string, path string) error {
	if path != "" && path != g.cfg.PlainFile {
		g.mu.Lock()
		_, known := g.files[path]
		g.mu.Unlock()
		if !known {
			return fmt.Errorf("%q is none of the access files", path)
		}
	}
	return g.edit(func(p string, _ *auth.PlainFile) bool { return path != "" && p == path },
		func(f *auth.PlainFile) error { f.GlobalWhite = list; return nil })
}

// edit changes the file that has picks, plain_acl.yml when it picks none.
func (g *Guard) edit(has func(path string, f *auth.PlainFile) bool, change func(*auth.PlainFile) error) error {
	if !g.cfg.Plain {
		return ErrNoPlain
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	files, err := g.readPlain()
	if err != nil {
		return err
	}
	target, picked := g.cfg.PlainFile, &auth.PlainFile{}
	for _, path := range slices.Sorted(maps.Keys(files)) {
		f, err := auth.ParsePlain([]byte(files[path]))
		if err != nil {
			return fmt.Errorf("%s: %w: mend it first", path, err)
		}
		found := has(path, f)
		if found || path == g.cfg.PlainFile {
			target, picked = path, f
		}
		if found {
			break
		}
	}
	if !maps.Equal(files, g.files) { // what is half written must not be written back
		return errors.New("the access files have just been changed by hand and are not used yet: send the request again in a few seconds, or look into the server's log for what is wrong with them")
	}
	if err := change(picked); err != nil {
		return err
	}
	files[target] = string(picked.Append([]byte("# Written by a request: comments are not kept.\n")))
	if _, err := g.compilePlain(files); err != nil {
		return err
	}
	if err := vfs.ReplaceSecret(g.fs, target, []byte(files[target])); err != nil {
		return err
	}
	return g.usePlain(files)
}

// Version is which content of an access file is used.
type Version struct {
	Checksum uint32    // CRC-32 of the content
	Used     time.Time // since when it is
}

// Versions gives the version of each access file, by path.
func (g *Guard) Versions() (map[string]Version, error) {
	if !g.cfg.Plain {
		return nil, ErrNoPlain
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	m := map[string]Version{}
	for path, text := range g.files {
		m[path] = Version{crc32.ChecksumIEEE([]byte(text)), g.used[path]}
	}
	return m, nil
}
