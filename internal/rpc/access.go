// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package rpc

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/twostage/twostage/internal/auth"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/header"
)

func asJSON(v any) ([]byte, error) {
	data, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("the body of the request: %w", err)
	}
	return data, nil
}

// CreateUser makes a user at a broker or name server. NoPermission when there is one.
func CreateUser(ctx context.Context, c Caller, addr string, u auth.User) error {
	return putUser(ctx, c, addr, wire.ReqAuthCreateUser, u)
}

// UpdateUser changes what u says of a user: its empty fields stay as they were.
func UpdateUser(ctx context.Context, c Caller, addr string, u auth.User) error {
	return putUser(ctx, c, addr, wire.ReqAuthUpdateUser, u)
}

func putUser(ctx context.Context, c Caller, addr string, code int32, u auth.User) error {
	data, err := asJSON(u)
	if err != nil {
		return err
	}
	return done(ctx, c, addr, &wire.Request{Code: code, Header: &header.UserRequest{Username: u.Username}, Body: data})
}

// DeleteUser deletes a user with its policies. That there is none is no error.
func DeleteUser(ctx context.Context, c Caller, addr, name string) error {
	return done(ctx, c, addr, &wire.Request{Code: wire.ReqAuthDeleteUser, Header: &header.UserRequest{Username: name}})
}

// fetchJSON reads the body of an answer into v, false if there is none.
func fetchJSON(ctx context.Context, c Caller, addr string, req *wire.Request, v any) (bool, error) {
	answer, err := invoke(ctx, c, addr, req)
	if err != nil || len(answer.Body) == 0 {
		return false, err
	}
	if err := json.Unmarshal(answer.Body, v); err != nil {
		return false, fmt.Errorf("%s to %s: the body of the answer: %w", requestName(req.Code), addr, err)
	}
	return true, nil
}

// Users gives the users whose name holds the filter. RocketMQ gives their passwords too.
func Users(ctx context.Context, c Caller, addr, filter string) (list []auth.User, err error) {
	_, err = fetchJSON(ctx, c, addr, &wire.Request{Code: wire.ReqAuthListUser, Header: &header.ListUsersRequest{Filter: filter}}, &list)
	return list, err
}

// User gives a user, nil if there is none.
func User(ctx context.Context, c Caller, addr, name string) (*auth.User, error) {
	var u auth.User
	ok, err := fetchJSON(ctx, c, addr, &wire.Request{Code: wire.ReqAuthGetUser, Header: &header.UserRequest{Username: name}}, &u)
	if !ok {
		return nil, err
	}
	return &u, nil
}

// UpdateACL adds entries to the policies of a subject, or replaces those for the same
// resource.
func UpdateACL(ctx context.Context, c Caller, addr string, a auth.ACL) error {
	data, err := asJSON(a)
	if err != nil {
		return err
	}
	return done(ctx, c, addr, &wire.Request{Code: wire.ReqAuthUpdateACL, Header: &header.ACLRequest{Subject: a.Subject}, Body: data})
}

// DeleteACL takes a resource out of the custom policies of a subject, all of its
// policies when resource is empty.
func DeleteACL(ctx context.Context, c Caller, addr, subject, resource string) error {
	return done(ctx, c, addr, &wire.Request{Code: wire.ReqAuthDeleteACL, Header: &header.ACLRequest{Subject: subject, Resource: resource}})
}

// ACLs gives the policies whose subject and resource hold the filters.
func ACLs(ctx context.Context, c Caller, addr, subject, resource string) (list []auth.ACL, err error) {
	h := &header.ListACLsRequest{SubjectFilter: subject, ResourceFilter: resource}
	_, err = fetchJSON(ctx, c, addr, &wire.Request{Code: wire.ReqAuthListACL, Header: h}, &list)
	return list, err
}

// ACL gives the policies of a subject, nil if it has none.
func ACL(ctx context.Context, c Caller, addr, subject string) (*auth.ACL, error) {
	var a auth.ACL
	ok, err := fetchJSON(ctx, c, addr, &wire.Request{Code: wire.ReqAuthGetACL, Header: &header.ACLRequest{Subject: subject}}, &a)
	if !ok {
		return nil, err
	}
	return &a, nil
}

// PutAccount makes an account of plain_acl.yml, or changes it: its empty fields stay as
// they were, but for Admin.
func PutAccount(ctx context.Context, c Caller, addr string, a auth.Account) error {
	return done(ctx, c, addr, &wire.Request{Code: wire.ReqUpdateAndCreateACLConfig, Header: &header.AccountRequest{
		AccessKey: a.AccessKey, SecretKey: a.SecretKey, WhiteRemoteAddress: a.WhiteRemoteAddress, Admin: a.Admin,
		DefaultTopicPerm: a.DefaultTopicPerm, DefaultGroupPerm: a.DefaultGroupPerm,
		TopicPerms: strings.Join(a.TopicPerms, ","), GroupPerms: strings.Join(a.GroupPerms, ","),
	}})
}

// DeleteAccount deletes an account of plain_acl.yml.
func DeleteAccount(ctx context.Context, c Caller, addr, accessKey string) error {
	return done(ctx, c, addr, &wire.Request{Code: wire.ReqDeleteACLConfig, Header: &header.AccountRequest{AccessKey: accessKey}})
}
