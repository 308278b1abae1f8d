// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/twostage/twostage/internal/admin"
)

// completionPatience is how long a shell waits for names that a cluster knows.
const completionPatience = time.Second

// names are what an argument or a flag may be; nil where nobody can list them.
type names func(ctx context.Context, a *admin.Admin) ([]string, error)

// completeArgs has the shell complete the arguments, in their order, with names
// that the cluster knows now.
func (c *cluster) completeArgs(cmd *cobra.Command, of ...names) {
	cmd.ValidArgsFunction = func(cmd *cobra.Command, given []string, begun string) ([]string, cobra.ShellCompDirective) {
		if len(given) >= len(of) {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return c.complete(cmd.Context(), of[len(given)], begun)
	}
}

// completeFlag does it for a flag.
func (c *cluster) completeFlag(cmd *cobra.Command, flag string, of names) {
	err := cmd.RegisterFlagCompletionFunc(flag, func(cmd *cobra.Command, _ []string, begun string) ([]string, cobra.ShellCompDirective) {
		return c.complete(cmd.Context(), of, begun)
	})
	if err != nil {
		panic(err) // the flag is defined, once
	}
}

// complete gives the names that begin so. What goes wrong is none of the shell's
// business: there are none then.
func (c *cluster) complete(ctx context.Context, of names, begun string) (found []string, _ cobra.ShellCompDirective) {
	if of == nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	if ctx == nil {
		ctx = context.Background()
	}
	ctx, cancel := context.WithTimeout(ctx, completionPatience)
	defer cancel()
	quiet := *c
	quiet.Stderr = io.Discard
	err := quiet.admin(func(a *admin.Admin) (err error) {
		found, err = of(ctx, a)
		return err
	})
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return slices.DeleteFunc(found, func(name string) bool { return !strings.HasPrefix(name, begun) }), cobra.ShellCompDirectiveNoFileComp
}

func topicNames(ctx context.Context, a *admin.Admin) ([]string, error) { return a.Topics(ctx) }

func groupNames(ctx context.Context, a *admin.Admin) ([]string, error) { return a.GroupNames(ctx) }

func brokerNames(ctx context.Context, a *admin.Admin) (all []string, err error) {
	nodes, err := a.Nodes(ctx, "")
	for _, n := range admin.Masters(nodes) {
		all = append(all, n.Broker)
	}
	return all, err
}

func clusterNames(ctx context.Context, a *admin.Admin) (all []string, err error) {
	nodes, err := a.Nodes(ctx, "")
	for _, n := range nodes {
		all = append(all, n.Cluster)
	}
	return slices.Compact(all), err
}

// fixed are names that are always the same.
func fixed(all ...string) names {
	return func(context.Context, *admin.Admin) ([]string, error) { return slices.Clone(all), nil }
}
