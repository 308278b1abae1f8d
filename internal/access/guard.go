// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package access

import (
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twostage/twostage/internal/auth"
	"github.com/twostage/twostage/internal/config"
	"github.com/twostage/twostage/internal/remoting"
	"github.com/twostage/twostage/internal/vfs"
	"github.com/twostage/twostage/internal/wire"
)

// Options are what a Guard is made of. FS is required where access control is on.
type Options struct {
	Config  config.Access
	Cluster string // the resource that requests about the whole are about
	FS      vfs.FS
	Logger  *slog.Logger // nil discards
}

// Guard lets requests in or not. Its methods are safe for concurrent use.
type Guard struct {
	cfg     config.Access
	cluster []byte
	fs      vfs.FS
	log     *slog.Logger

	admits  map[int32]func(*remoting.Request) bool // by code, nil: everybody's; 0 is for codes without a row
	now     atomic.Pointer[state]
	scratch sync.Pool // *scratch
	counts  [len(reasons)]atomic.Int64
	said    [len(reasons)]atomic.Int64 // when a refusal was logged last, Unix nanoseconds

	mu    sync.Mutex           // guards what follows
	kept  records              // what is on disk
	files map[string]string    // access files as they are used, by path
	used  map[string]time.Time // since when
	found map[string]string    // as the last look found them
	bad   string               // the last error of a reload, so that it is logged once
}

// state is who there is. It is immutable.
type state struct {
	users map[string]*auth.Subject
	plain *auth.Plain
}

type scratch struct {
	fields []auth.Field
	asks   asks
}

// reasons are the labels of counted refusals.
var reasons = [...]string{
	auth.BecauseAnonymous, auth.BecauseUnknown, auth.BecauseDisabled, auth.BecauseSignature,
	auth.BecausePermission, auth.BecauseMalformed, auth.BecauseRemote,
}

// New makes a guard, which knows nobody until Open.
func New(o Options) *Guard {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	g := &Guard{cfg: o.Config, cluster: []byte(o.Cluster), fs: o.FS, log: o.Logger}
	g.scratch.New = func() any { return new(scratch) }
	g.now.Store(&state{plain: &auth.Plain{}})
	g.admits = map[int32]func(*remoting.Request) bool{0: g.admitter(anything)}
	for code, n := range needs {
		g.admits[code] = g.admitter(n)
	}
	return g
}

// Enabled says whether requests must be signed.
func (g *Guard) Enabled() bool { return g.cfg.Enabled() }

// Inner is what the server signs its own requests with, nil for nothing.
func (g *Guard) Inner() func(*wire.Request) wire.Fields {
	return remoting.Signer(auth.Credentials{AccessKey: g.cfg.Inner.Name, SecretKey: g.cfg.Inner.Reveal()})
}

// Mode says in a word who may send protected requests: acl, loopback or open.
func (g *Guard) Mode() string {
	switch {
	case g.Enabled():
		return "acl"
	case g.cfg.InsecureAdmin:
		return "open"
	}
	return "loopback"
}

// Protect puts the guard before a route of the code. It leaves a route alone that
// needs nothing.
func (g *Guard) Protect(code int32, r remoting.Route) remoting.Route {
	if !Known(code) {
		code = 0
	}
	r.Admit = g.admits[code]
	return r
}

// admitter is what is asked before a request that needs n, nil for nothing.
func (g *Guard) admitter(n need) func(*remoting.Request) bool {
	switch {
	case g.Enabled():
		return func(r *remoting.Request) bool { return g.admit(r, &n) }
	case n.protected && !g.cfg.InsecureAdmin:
		return g.local
	}
	return nil
}

// Refused counts refusals since the start, by reason.
func (g *Guard) Refused() map[string]int64 {
	m := make(map[string]int64, len(reasons))
	for i, name := range reasons {
		m[name] = g.counts[i].Load()
	}
	return m
}

// FromHere says whether the two ends of a connection are on one machine: the peer is
// on the loopback, or has the address that it called.
func FromHere(remote, local netip.Addr) bool {
	remote, local = remote.Unmap(), local.Unmap()
	return remote.IsLoopback() || remote.IsValid() && remote == local
}

// local lets protected requests of this machine in.
func (g *Guard) local(r *remoting.Request) bool {
	if FromHere(r.Conn.RemoteAddr().Addr(), r.Conn.LocalAddr().Addr()) {
		return true
	}
	g.refuse(r, wire.NoPermission, &auth.Refusal{Reason: auth.BecauseRemote, Text: fmt.Sprintf(
		"request %d (%s) is taken from the server's own machine only, as long as there is no access control: send it from there, turn on access control (aclEnable or authenticationEnabled), or start the server with --insecure-admin",
		r.Code, wire.CodeName(r.Code))})
	return false
}

// admit lets a request in that its sender may send.
func (g *Guard) admit(r *remoting.Request, n *need) bool {
	s := g.scratch.Get().(*scratch)
	code, err := g.judge(r, n, s)
	clear(s.fields) // they alias the frame
	clear(s.asks.list)
	s.fields, s.asks.list = s.fields[:0], s.asks.list[:0]
	g.scratch.Put(s)
	if err == nil {
		return true
	}
	g.refuse(r, code, err)
	return false
}

// judge gives the reason for a refusal, and the code to answer with: RocketMQ 4 answers
// SYSTEM_ERROR, RocketMQ 5 NO_PERMISSION.
func (g *Guard) judge(r *remoting.Request, n *need, s *scratch) (code int32, refusal *auth.Refusal) {
	st, from := g.now.Load(), r.Conn.RemoteAddr().Addr()
	if g.unsigned(st, r.Code, from) {
		return 0, nil
	}
	free := g.unasked(r.Code)
	code = wire.NoPermission
	if !g.cfg.Authentication {
		code = wire.SystemError
	}
	name, ok := r.Ext.Get(auth.FieldAccessKey)
	if !ok || len(name) == 0 {
		if code == wire.SystemError {
			return code, &auth.Refusal{Reason: auth.BecauseAnonymous, Text: "No accessKey is configured: requests to this server must be signed"}
		}
		return code, &auth.Refusal{Reason: auth.BecauseAnonymous, Text: "username cannot be null: requests to this server must be signed"}
	}
	who := st.subject(name)
	if who == nil {
		if code == wire.SystemError {
			return code, &auth.Refusal{Reason: auth.BecauseUnknown, Text: fmt.Sprintf("No acl config for %.100s", name)}
		}
		return code, &auth.Refusal{Reason: auth.BecauseUnknown, Text: fmt.Sprintf("User:%.100s is not found.", name)}
	}
	if who.Plain {
		code = wire.SystemError
		if who.White.Has(from) {
			return 0, nil
		}
	}
	if !who.Key.Verify(s.sort(r), r.Body, signature(r)) {
		if who.Plain {
			return code, &auth.Refusal{Reason: auth.BecauseSignature, Text: fmt.Sprintf("Check signature failed for accessKey=%.100s", name)}
		}
		return code, &auth.Refusal{Reason: auth.BecauseSignature, Text: "check signature failed."}
	}
	if n.protected && !who.Plain && !who.Super && !g.cfg.Authorization {
		return code, onlySuper(who, wire.CodeName(r.Code))
	}
	if who.Plain || !free {
		if err := n.ask(r, &s.asks); err != nil {
			return code, &auth.Refusal{Reason: auth.BecauseMalformed, Text: fmt.Sprintf("%s: %v", wire.CodeName(r.Code), err)}
		}
		for i := range s.asks.list {
			if s.asks.list[i].Kind == auth.Cluster {
				s.asks.list[i].Name = g.cluster
			}
		}
	}
	if err := who.Decide(s.asks.list, from); err != nil {
		return code, err.(*auth.Refusal)
	}
	return 0, nil
}

// subject is the user or account of a name, nil if there is none.
func (st *state) subject(name []byte) *auth.Subject {
	if who := st.users[string(name)]; who != nil {
		return who
	}
	return st.plain.Subjects[string(name)]
}

// unsigned says whether a request needs no proof of who sends it: white lists say so.
func (g *Guard) unsigned(st *state, code int32, from netip.Addr) bool {
	return g.cfg.Plain && st.plain.White(from) ||
		g.cfg.Authentication && g.unasked(code) && slices.Contains(g.cfg.AuthenticationWhitelist, code)
}

// unasked says whether users need no permission for a request.
func (g *Guard) unasked(code int32) bool {
	return !g.cfg.Authorization || slices.Contains(g.cfg.AuthorizationWhitelist, code)
}

// onlySuper refuses what destroys or decides to a user while there are no permissions.
func onlySuper(who *auth.Subject, what string) *auth.Refusal {
	return &auth.Refusal{Reason: auth.BecausePermission, Text: fmt.Sprintf(
		"User:%s has no permission for %s: without authorizationEnabled=true it is for super users only", who.Name, what)}
}

// sort gives the fields that the signature is over.
func (s *scratch) sort(r *remoting.Request) []auth.Field {
	for i := range r.Ext {
		f := &r.Ext[i]
		if r.Version <= wire.VersionV493 && string(f.Key) == auth.FieldUniqueKeyQuery {
			continue
		}
		s.fields = append(s.fields, auth.Field{Name: f.Key, Value: f.Value})
	}
	return s.fields
}

func signature(r *remoting.Request) []byte {
	v, _ := r.Ext.Get(auth.FieldSignature)
	return v
}

// count counts a refusal and gives the place of its reason and how many there were.
func (g *Guard) count(why *auth.Refusal) (reason int, total int64) {
	reason = slices.Index(reasons[:], why.Reason)
	return reason, g.counts[reason].Add(1)
}

// logEvery is how often refusals for one reason are logged.
const logEvery = 10 * time.Second

// note counts a refusal, and logs it with what it is about unless one for the same
// reason was logged just now.
func (g *Guard) note(why *auth.Refusal, about ...any) {
	i, total := g.count(why)
	now, last := time.Now().UnixNano(), g.said[i].Load()
	if now-last >= int64(logEvery) && g.said[i].CompareAndSwap(last, now) {
		g.log.Warn("request refused", append([]any{"because", why.Reason, "reason", why.Text, "refused", total}, about...)...)
	}
}

func (g *Guard) refuse(r *remoting.Request, code int32, why *auth.Refusal) {
	g.note(why, "request", r.ID(), "code", r.Code, "name", wire.CodeName(r.Code), "peer", r.Conn.RemoteAddr())
	r.Reply(&wire.Response{Code: code, Remark: why.Text})
}
