// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package access

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/twostage/twostage/internal/auth"
	"github.com/twostage/twostage/internal/remoting"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/header"
)

// Identity is what GET_BROKER_CLUSTER_ACL_INFO says of the server.
type Identity struct {
	Cluster, Broker string
	Addr            func() string
}

// Handlers serve the requests about users, policies and accounts. What they answer is
// on disk, so they belong into a lane.
func (g *Guard) Handlers(id Identity) map[int32]remoting.Handler {
	return map[int32]remoting.Handler{
		wire.ReqAuthCreateUser: g.putUser(g.CreateUser),
		wire.ReqAuthUpdateUser: g.putUser(g.UpdateUser),
		wire.ReqAuthDeleteUser: g.deleteUser,
		wire.ReqAuthGetUser:    g.getUser,
		wire.ReqAuthListUser:   g.listUsers,
		wire.ReqAuthCreateACL:  g.putACL,
		wire.ReqAuthUpdateACL:  g.putACL,
		wire.ReqAuthDeleteACL:  g.deleteACL,
		wire.ReqAuthGetACL:     g.getACL,
		wire.ReqAuthListACL:    g.listACLs,

		wire.ReqUpdateAndCreateACLConfig:     g.putAccount,
		wire.ReqDeleteACLConfig:              g.deleteAccount,
		wire.ReqUpdateGlobalWhiteAddrsConfig: g.putGlobalWhite,
		wire.ReqGetBrokerClusterACLInfo:      g.versions(id),
	}
}

// The codes that RocketMQ 4.9.8 answers failed changes of accounts with. 5.x has
// other meanings for two of them, but not for these requests.
const (
	accountNotPut     = 209
	accountNotDeleted = 210
	whiteNotPut       = 211
)

func decode(r *remoting.Request, h header.Codec) bool {
	if err := h.DecodeExt(r.Ext); err != nil {
		r.Reply(&wire.Response{Code: wire.InvalidParameter, Remark: err.Error()})
		return false
	}
	return true
}

// maxBody bounds the JSON of a user or of policies, in bytes.
const maxBody = 1 << 20

func decodeJSON(r *remoting.Request, v any) bool {
	err := fmt.Errorf("the body has %d bytes, at most %d are taken", len(r.Body), maxBody)
	if len(r.Body) <= maxBody {
		if err = json.Unmarshal(r.Body, v); err == nil {
			return true
		}
	}
	r.Reply(&wire.Response{Code: wire.InvalidParameter, Remark: fmt.Sprintf("%s: the body: %v", wire.CodeName(r.Code), err)})
	return false
}

// done answers a change of users or policies.
func (g *Guard) done(r *remoting.Request, what string, err error) {
	switch {
	case err == nil:
		g.log.Info("access control was changed", "request", r.ID(), "code", r.Code, "name", wire.CodeName(r.Code), "what", what, "by", string(by(r)), "peer", r.Conn.RemoteAddr())
		r.Reply(&wire.Response{})
	case errors.Is(err, ErrDenied) || errors.Is(err, ErrNoUsers):
		r.Reply(&wire.Response{Code: wire.NoPermission, Remark: err.Error()})
	default:
		r.Reply(&wire.Response{Code: wire.SystemError, Remark: fmt.Sprintf("%s: %v", wire.CodeName(r.Code), err)})
	}
}

// answer gives a body as JSON; none for nil, as RocketMQ does.
func (g *Guard) answer(r *remoting.Request, v any, there bool, err error) {
	if err != nil {
		g.done(r, "", err)
		return
	}
	resp := &wire.Response{}
	if there {
		if resp.Body, err = json.Marshal(v); err != nil {
			g.done(r, "", err)
			return
		}
	}
	r.Reply(resp)
}

// by is who has signed the request, nobody where that was not looked at.
func by(r *remoting.Request) []byte {
	name, _ := r.Ext.Get(auth.FieldAccessKey)
	return name
}

func (g *Guard) putUser(put func(by string, u auth.User) error) remoting.Handler {
	return func(r *remoting.Request) {
		var h header.UserRequest
		var u auth.User
		if !decode(r, &h) || !decodeJSON(r, &u) {
			return
		}
		u.Username = h.Username
		g.done(r, u.String(), put(string(by(r)), u))
	}
}

func (g *Guard) deleteUser(r *remoting.Request) {
	var h header.UserRequest
	if decode(r, &h) {
		g.done(r, "User:"+h.Username, g.DeleteUser(string(by(r)), h.Username))
	}
}

func (g *Guard) getUser(r *remoting.Request) {
	var h header.UserRequest
	if !decode(r, &h) {
		return
	}
	u, err := g.User(h.Username)
	g.answer(r, u, u != nil, err)
}

func (g *Guard) listUsers(r *remoting.Request) {
	var h header.ListUsersRequest
	if !decode(r, &h) {
		return
	}
	list, err := g.Users(h.Filter)
	g.answer(r, list, len(list) > 0, err)
}

func (g *Guard) putACL(r *remoting.Request) {
	var h header.ACLRequest
	var a auth.ACL
	if !decode(r, &h) || !decodeJSON(r, &a) {
		return
	}
	a.Subject = h.Subject // which is the one that counts: RocketMQ's tools send both
	g.done(r, a.Subject, g.PutACL(a))
}

func (g *Guard) deleteACL(r *remoting.Request) {
	var h header.ACLRequest
	if decode(r, &h) {
		g.done(r, h.Subject, g.DeleteACL(h.Subject, h.PolicyType, h.Resource))
	}
}

func (g *Guard) getACL(r *remoting.Request) {
	var h header.ACLRequest
	if !decode(r, &h) {
		return
	}
	a, err := g.ACL(h.Subject)
	g.answer(r, a, a != nil, err)
}

func (g *Guard) listACLs(r *remoting.Request) {
	var h header.ListACLsRequest
	if !decode(r, &h) {
		return
	}
	list, err := g.ACLs(h.SubjectFilter, h.ResourceFilter)
	g.answer(r, list, len(list) > 0, err)
}

// changed answers a change of accounts.
func (g *Guard) changed(r *remoting.Request, what string, code int32, err error) {
	if err != nil {
		r.Reply(&wire.Response{Code: code, Remark: err.Error()})
		return
	}
	g.done(r, what, nil)
}

func split(list string) []string {
	var all []string
	for _, s := range strings.Split(list, ",") {
		if s = strings.TrimSpace(s); s != "" {
			all = append(all, s)
		}
	}
	return all
}

func (g *Guard) putAccount(r *remoting.Request) {
	var h header.AccountRequest
	if !decode(r, &h) {
		return
	}
	a := auth.Account{
		AccessKey: h.AccessKey, SecretKey: h.SecretKey, WhiteRemoteAddress: h.WhiteRemoteAddress, Admin: h.Admin,
		DefaultTopicPerm: h.DefaultTopicPerm, DefaultGroupPerm: h.DefaultGroupPerm, TopicPerms: split(h.TopicPerms), GroupPerms: split(h.GroupPerms),
	}
	g.changed(r, a.String(), accountNotPut, g.PutAccount(a))
}

func (g *Guard) deleteAccount(r *remoting.Request) {
	var h header.AccountRequest
	if decode(r, &h) {
		g.changed(r, "account "+h.AccessKey, accountNotDeleted, g.DeleteAccount(h.AccessKey))
	}
}

func (g *Guard) putGlobalWhite(r *remoting.Request) {
	var h header.GlobalWhiteRequest
	if decode(r, &h) {
		g.changed(r, "globalWhiteRemoteAddresses", whiteNotPut, g.PutGlobalWhite(split(h.Addresses), h.File))
	}
}

// versions answers with a DataVersion for each access file: the time since when the
// file's content is used, and a checksum of it as the counter, which changes with the
// file and does not only grow.
func (g *Guard) versions(id Identity) remoting.Handler {
	type version struct {
		Counter      int64 `json:"counter"`
		StateVersion int64 `json:"stateVersion"`
		Timestamp    int64 `json:"timestamp"`
	}
	return func(r *remoting.Request) {
		used, err := g.Versions()
		if err != nil {
			r.Reply(&wire.Response{Code: wire.SystemError, Remark: err.Error()})
			return
		}
		all := make(map[string]version, len(used))
		for path, v := range used {
			all[path] = version{Counter: int64(v.Checksum), Timestamp: v.Used.UnixMilli()}
		}
		main, _ := json.Marshal(all[g.cfg.PlainFile]) // numbers and paths can't fail
		every, _ := json.Marshal(all)
		r.Reply(&wire.Response{Header: &header.ACLVersionResponse{
			Version: string(main), AllVersions: string(every), BrokerName: id.Broker, BrokerAddr: id.Addr(), ClusterName: id.Cluster,
		}})
	}
}
