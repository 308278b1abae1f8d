// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/twostage/twostage/internal/admin"
	"github.com/twostage/twostage/internal/auth"
	"github.com/twostage/twostage/internal/cli/output"
)

func aclCommand(p Process) *cobra.Command {
	c := group("acl", "Users and their permissions",
		group("user", "Users of servers with authenticationEnabled", aclUserList(p), aclUserShow(p), aclUserCreate(p), aclUserUpdate(p), aclUserDelete(p)),
		group("policy", "What users may do", aclPolicyList(p), aclPolicyPut(p), aclPolicyDelete(p)),
		group("account", "Accounts of plain_acl.yml, of servers with aclEnable", aclAccountSet(p), aclAccountDelete(p)))
	c.Long = "Users and their permissions, on all brokers of a cluster. Each server has its own: what one lacks, list shows.\ndocs/security.md says what requests need. Accounts can be changed in plain_acl.yml as well, which servers watch."
	return c
}

// aclFlags are how a command of acl reaches servers.
type aclFlags struct {
	cluster
	at admin.Servers
}

func (f *aclFlags) flags(cmd *cobra.Command) {
	f.cluster.flags(cmd)
	f.brokerFlag(cmd)
	cmd.Flags().StringVar(&f.at.Cluster, "cluster", "", "`name` of the cluster; the only one when not given")
	cmd.Flags().BoolVar(&f.at.NameServers, "namesrvs", false, "the name servers' users too, which are their own")
}

// servers are those that the flags say.
func (f *aclFlags) where() admin.Servers {
	s := f.at
	s.Addr = f.broker
	return s
}

// change does something at servers and says where it was done.
func (f *aclFlags) change(p Process, what string, fields []any, fn func(a *admin.Admin) ([]string, error)) error {
	return f.admin(func(a *admin.Admin) error {
		done, err := fn(a)
		for _, addr := range done {
			err = errors.Join(err, f.did(p, what, append(fields[:len(fields):len(fields)], "server", addr)...))
		}
		return err
	})
}

func aclUserList(p Process) *cobra.Command {
	f := &aclFlags{cluster: cluster{Process: p}}
	cmd := &cobra.Command{
		Use: "list [PART]", Short: "List users, those whose name holds PART", Args: args(0, 1),
		RunE: func(cmd *cobra.Command, given []string) error {
			return f.look(cmd.Context(), func(ctx context.Context, a *admin.Admin) (*output.View, error) {
				all, err := a.Users(ctx, f.where(), strings.Join(given, ""))
				if len(all) == 0 && err != nil {
					return nil, err
				}
				t := output.NewTable(output.Text("USER"), output.Text("TYPE"), output.Text("STATUS"), output.Text("SERVERS"))
				for _, u := range all {
					t.Row(u.Name, u.Type, u.Status, strings.Join(u.Servers, ","))
				}
				return output.Of(all, t), err
			})
		},
	}
	f.flags(cmd)
	return cmd
}

// policyTable shows entries.
func policyTable(all []admin.PolicyAt) *output.Table {
	t := output.NewTable(output.Text("USER"), output.Text("DECISION"), output.Text("ACTIONS"), output.Text("RESOURCE"), output.Text("SOURCES"), output.Text("TYPE"), output.Text("SERVER"))
	for _, e := range all {
		sources := "everywhere"
		if len(e.Sources) > 0 {
			sources = strings.Join(e.Sources, ",")
		}
		t.Row(e.User, e.Decision, strings.Join(e.Actions, ","), e.Resource, sources, e.Type, e.Server)
	}
	return t
}

func aclUserShow(p Process) *cobra.Command {
	f := &aclFlags{cluster: cluster{Process: p}}
	cmd := &cobra.Command{
		Use: "show USER", Short: "Show a user and what it may do", Args: args(1, 1),
		RunE: func(cmd *cobra.Command, given []string) error {
			return f.look(cmd.Context(), func(ctx context.Context, a *admin.Admin) (*output.View, error) {
				users, policies, err := a.User(ctx, f.where(), given[0])
				if len(users) == 0 {
					return nil, err
				}
				t := output.NewTable(output.Text("USER"), output.Text("TYPE"), output.Text("STATUS"), output.Text("SERVER"))
				for _, u := range users {
					t.Row(u.Name, u.Type, u.Status, u.Servers[0])
				}
				v := struct {
					Users    []admin.UserAt   `json:"users"`
					Policies []admin.PolicyAt `json:"policies"`
				}{users, policies}
				return output.Of(v, t, policyTable(policies)), err
			})
		},
	}
	f.flags(cmd)
	return cmd
}

// userFlags are what is said of a user.
type userFlags struct {
	passwordFile  string
	super, normal bool
	on, off       bool
}

// user makes a user of the flags.
func (u *userFlags) user(p Process, name string, create bool) (auth.User, error) {
	made := auth.User{Username: name}
	switch {
	case u.super && u.normal, u.on && u.off:
		return made, usagef("--super and --normal, and --enable and --disable, exclude each other")
	case u.super:
		made.UserType = auth.Super
	case u.normal:
		made.UserType = auth.Normal
	}
	switch {
	case u.on:
		made.UserStatus = auth.Enabled
	case u.off:
		made.UserStatus = auth.Disabled
	}
	if u.passwordFile == "" {
		if create {
			return made, usagef("a user needs a password: --password-file FILE, - for standard input")
		}
		if made.UserType == "" && made.UserStatus == "" {
			return made, usagef("nothing is to be changed: say --password-file, --super, --normal, --enable or --disable")
		}
		return made, nil
	}
	var err error
	made.Password, err = firstLine(p, "--password-file", u.passwordFile)
	return made, err
}

// firstLine reads a secret from a file, - for standard input.
func firstLine(p Process, flag, name string) (string, error) {
	var in io.Reader = p.Stdin
	if name != "-" {
		file, err := os.Open(name)
		if err != nil {
			return "", fmt.Errorf("%s: %w", flag, err)
		}
		defer file.Close()
		in = file
	}
	line, err := bufio.NewReader(io.LimitReader(in, 4<<10)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", fmt.Errorf("%s: %w", flag, err)
	}
	if line = strings.TrimRight(line, "\r\n"); line == "" {
		return "", usagef("%s: the first line is empty", flag)
	}
	return line, nil
}

func (u *userFlags) flags(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.StringVar(&u.passwordFile, "password-file", "", "`file` whose first line is the password; - is standard input")
	fl.BoolVar(&u.super, "super", false, "a user that may do everything")
	fl.BoolVar(&u.normal, "normal", false, "a user that may do what its policies allow")
	fl.BoolVar(&u.on, "enable", false, "let the user in")
	fl.BoolVar(&u.off, "disable", false, "keep the user out")
}

func aclUserCreate(p Process) *cobra.Command {
	f, u := &aclFlags{cluster: cluster{Process: p}}, &userFlags{}
	cmd := &cobra.Command{
		Use: "create USER", Short: "Create a user", Args: args(1, 1),
		RunE: func(cmd *cobra.Command, given []string) error {
			user, err := u.user(p, given[0], true)
			if err != nil {
				return err
			}
			return f.change(p, "created", []any{"user", given[0]}, func(a *admin.Admin) ([]string, error) { return a.CreateUser(cmd.Context(), f.where(), user) })
		},
	}
	f.flags(cmd)
	u.flags(cmd)
	return cmd
}

func aclUserUpdate(p Process) *cobra.Command {
	f, u := &aclFlags{cluster: cluster{Process: p}}, &userFlags{}
	cmd := &cobra.Command{
		Use: "update USER", Short: "Change password, type or status of a user", Args: args(1, 1),
		RunE: func(cmd *cobra.Command, given []string) error {
			user, err := u.user(p, given[0], false)
			if err != nil {
				return err
			}
			return f.change(p, "updated", []any{"user", given[0]}, func(a *admin.Admin) ([]string, error) { return a.UpdateUser(cmd.Context(), f.where(), user) })
		},
	}
	f.flags(cmd)
	u.flags(cmd)
	return cmd
}

func aclUserDelete(p Process) *cobra.Command {
	f, sure := &aclFlags{cluster: cluster{Process: p}}, &consent{}
	cmd := &cobra.Command{
		Use: "delete USER", Short: "Delete a user with its policies", Args: args(1, 1),
		RunE: func(cmd *cobra.Command, given []string) error {
			why := fmt.Sprintf("user %s and its policies would be gone for good", given[0])
			if err := sure.ask(cmd.Context(), p, why, why+".\nType yes to delete it: ", "not deleted"); err != nil {
				return err
			}
			return f.change(p, "deleted", []any{"user", given[0]}, func(a *admin.Admin) ([]string, error) { return a.DeleteUser(cmd.Context(), f.where(), given[0]) })
		},
	}
	f.flags(cmd)
	sure.flag(cmd)
	return cmd
}

func aclPolicyList(p Process) *cobra.Command {
	f, resource := &aclFlags{cluster: cluster{Process: p}}, ""
	cmd := &cobra.Command{
		Use: "list [PART]", Short: "List what users may do, those whose name holds PART", Args: args(0, 1),
		RunE: func(cmd *cobra.Command, given []string) error {
			return f.look(cmd.Context(), func(ctx context.Context, a *admin.Admin) (*output.View, error) {
				all, err := a.Policies(ctx, f.where(), strings.Join(given, ""), resource)
				if len(all) == 0 && err != nil {
					return nil, err
				}
				return output.Of(all, policyTable(all)), err
			})
		},
	}
	f.flags(cmd)
	cmd.Flags().StringVar(&resource, "resource", "", "those whose resource holds this `part`")
	return cmd
}

func aclPolicyPut(p Process) *cobra.Command {
	f := &aclFlags{cluster: cluster{Process: p}}
	var e auth.Entry
	deny := false
	cmd := &cobra.Command{
		Use: "set USER RESOURCE ACTION[,ACTION...]", Short: "Allow or deny a user something, instead of what was said of that resource", Args: args(3, 3), Aliases: []string{"create", "update"},
		Example: "  twostage acl policy set orders-app Topic:orders Pub,Sub\n  twostage acl policy set orders-app \"Group:orders-*\" Sub --from 10.1.0.0/16\n  twostage acl policy set orders-app \"Topic:*\" All --deny",
		RunE: func(cmd *cobra.Command, given []string) error {
			e.Resource, e.Actions, e.Decision = given[1], strings.Split(given[2], ","), auth.Allow
			if deny {
				e.Decision = auth.Deny
			}
			return f.change(p, "set", []any{"user", given[0], "resource", given[1], "decision", e.Decision}, func(a *admin.Admin) ([]string, error) {
				return a.PutPolicy(cmd.Context(), f.where(), given[0], e)
			})
		},
	}
	f.flags(cmd)
	cmd.Flags().BoolVar(&deny, "deny", false, "deny it, rather than allow it")
	cmd.Flags().StringSliceVar(&e.SourceIPs, "from", nil, "`address` or network that it holds for; everywhere when not given")
	return cmd
}

func aclPolicyDelete(p Process) *cobra.Command {
	f, sure := &aclFlags{cluster: cluster{Process: p}}, &consent{}
	cmd := &cobra.Command{
		Use: "delete USER [RESOURCE]", Short: "Delete what was said of a resource, or of all", Args: args(1, 2),
		RunE: func(cmd *cobra.Command, given []string) error {
			resource := strings.Join(given[1:], "")
			why := fmt.Sprintf("the policy of %s for %s would be gone", given[0], resource)
			if resource == "" {
				why = fmt.Sprintf("all policies of %s would be gone", given[0])
			}
			if err := sure.ask(cmd.Context(), p, why, why+".\nType yes to delete it: ", "not deleted"); err != nil {
				return err
			}
			return f.change(p, "deleted", []any{"user", given[0], "resource", resource}, func(a *admin.Admin) ([]string, error) {
				return a.DeletePolicy(cmd.Context(), f.where(), given[0], resource)
			})
		},
	}
	f.flags(cmd)
	sure.flag(cmd)
	return cmd
}
