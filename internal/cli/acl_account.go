// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/twostage/twostage/internal/admin"
	"github.com/twostage/twostage/internal/auth"
)

func aclAccountSet(p Process) *cobra.Command {
	f := &aclFlags{cluster: cluster{Process: p}}
	var account auth.Account
	secretFile := ""
	cmd := &cobra.Command{
		Use: "set ACCESS_KEY", Short: "Make an account, or change what is said of it", Args: args(1, 1), Aliases: []string{"create", "update"},
		Long:    "Make an account in plain_acl.yml of each server, or change what the flags say of it. --admin counts each time: an\nadmin that is set without it is one no more. Without --secret-file, which a new account needs, it must be said.\nThe file loses its comments.",
		Example: "  twostage acl account set orders-app --secret-file secret.txt --topic orders=PUB --group orders-readers=SUB",
		RunE: func(cmd *cobra.Command, given []string) (err error) {
			if secretFile == "" && !cmd.Flags().Changed("admin") {
				return usagef("say --admin or --admin=false: an admin that is set without it is one no more")
			}
			account.AccessKey = given[0]
			if secretFile != "" {
				if account.SecretKey, err = firstLine(p, "--secret-file", secretFile); err != nil {
					return err
				}
			}
			return f.change(p, "set", []any{"account", given[0], "admin", account.Admin}, func(a *admin.Admin) ([]string, error) {
				return a.PutAccount(cmd.Context(), f.where(), account)
			})
		},
	}
	f.flags(cmd)
	fl := cmd.Flags()
	fl.StringVar(&secretFile, "secret-file", "", "`file` whose first line is the secret key; - is standard input")
	fl.BoolVar(&account.Admin, "admin", false, "an account that may do everything")
	fl.StringSliceVar(&account.TopicPerms, "topic", nil, "`TOPIC=PERM` with DENY, PUB, SUB or PUB|SUB; may be repeated")
	fl.StringSliceVar(&account.GroupPerms, "group", nil, "`GROUP=PERM`; may be repeated")
	fl.StringVar(&account.DefaultTopicPerm, "default-topic", "", "`permission` on topics that are not named")
	fl.StringVar(&account.DefaultGroupPerm, "default-group", "", "`permission` on groups that are not named")
	fl.StringVar(&account.WhiteRemoteAddress, "white", "", "`addresses` from where it needs neither signature nor permission")
	return cmd
}

func aclAccountDelete(p Process) *cobra.Command {
	f, sure := &aclFlags{cluster: cluster{Process: p}}, &consent{}
	cmd := &cobra.Command{
		Use: "delete ACCESS_KEY", Short: "Delete an account", Args: args(1, 1),
		RunE: func(cmd *cobra.Command, given []string) error {
			why := fmt.Sprintf("account %s would be gone for good", given[0])
			if err := sure.ask(cmd.Context(), p, why, why+".\nType yes to delete it: ", "not deleted"); err != nil {
				return err
			}
			return f.change(p, "deleted", []any{"account", given[0]}, func(a *admin.Admin) ([]string, error) {
				return a.DeleteAccount(cmd.Context(), f.where(), given[0])
			})
		},
	}
	f.flags(cmd)
	sure.flag(cmd)
	return cmd
}
