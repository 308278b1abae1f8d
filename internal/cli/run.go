// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/twostage/twostage/client"
	"github.com/twostage/twostage/internal/admin"
	"github.com/twostage/twostage/internal/cli/output"
	"github.com/twostage/twostage/internal/fsck"
	"github.com/twostage/twostage/internal/remoting"
	"github.com/twostage/twostage/internal/rpc"
	"github.com/twostage/twostage/internal/store/checkpoint"
	"github.com/twostage/twostage/internal/wire"
)

// Variables that this package acts on itself.
const (
	variableData    = "TWOSTAGE_DATA"
	variableNamesrv = "TWOSTAGE_NAMESRV"
	variableNotify  = "NOTIFY_SOCKET" // systemd's
	variableAccess  = "TWOSTAGE_ACCESS_KEY"
	variableSecret  = "TWOSTAGE_SECRET_KEY"
)

// Exit codes.
const (
	exitFailed      = 1
	exitUsage       = 2
	exitInterrupted = 130
)

// Process is what a command has of the process it runs in.
type Process struct {
	Args           []string // without the program's name
	Environment    []string // as os.Environ
	Stdin          io.Reader
	Stdout, Stderr io.Writer
}

// variable is the value of an environment variable, or otherwise when it is
// empty or not set. The last setting counts.
func (p Process) variable(name, otherwise string) string {
	for _, v := range p.Environment {
		if value, ok := strings.CutPrefix(v, name+"="); ok && value != "" {
			otherwise = value
		}
	}
	return otherwise
}

// logger is that of commands other than the server: what goes wrong on the way.
func (p Process) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(p.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
}

// errUsage is the class of errors about the command line.
var errUsage = errors.New("usage")

// usagef is an error about the command line.
func usagef(format string, args ...any) error {
	return usageError{fmt.Errorf(format, args...)}
}

type usageError struct{ error }

func (usageError) Is(target error) bool { return target == errUsage }
func (e usageError) Unwrap() error      { return e.error }

// Run runs the command of the arguments until it is done or ctx ends, and
// returns the exit code of the process.
func Run(ctx context.Context, p Process) int {
	root := rootCommand(p)
	root.SetArgs(p.Args)
	root.SetIn(p.Stdin)
	root.SetOut(p.Stdout)
	root.SetErr(p.Stderr)
	cmd, err := root.ExecuteContextC(ctx)
	switch {
	case err == nil:
		return 0
	case ctx.Err() != nil && errors.Is(err, ctx.Err()):
		return exitInterrupted
	}
	complain(p.Stderr, err)
	if errors.Is(err, errUsage) {
		fmt.Fprintf(p.Stderr, "  see: %s --help\n", cmd.CommandPath())
		return exitUsage
	}
	return exitFailed
}

// complain prints an error: what went wrong, and below it what to do about it.
func complain(w io.Writer, err error) {
	fmt.Fprintf(w, "twostage: %s\n", strings.ReplaceAll(output.Visible(err.Error()), "\n", "\n  "))
	if h := hint(err); h != "" {
		fmt.Fprintf(w, "  %s\n", h)
	}
}

// hint says what to do about an error.
func hint(err error) string {
	switch {
	case errors.Is(err, remoting.ErrHandshake):
		return "say whose certificates count with --tls-ca FILE, what they are for with --tls-server-name NAME, and what to show with --tls-cert and --tls-key"
	case errors.Is(err, remoting.ErrClosed) && errors.Is(err, io.EOF):
		return "the other side closed the connection: add --tls if it takes TLS only, or see its log"
	case errors.Is(err, client.ErrNameServer), errors.Is(err, admin.ErrNameServer):
		return "start one with `twostage server`, or say where one is with --namesrv HOST:PORT"
	case errors.Is(err, client.ErrNoRoute), errors.Is(err, admin.ErrNoTopic):
		return "create it with `twostage topic create TOPIC`, or see what there is with `twostage topic list`"
	case errors.Is(err, admin.ErrNoBroker):
		return "see what there is with `twostage broker list`"
	case errors.Is(err, admin.ErrNoKey):
		return "see what there is with `twostage config show TARGET` or `twostage namesrv kv list NAMESPACE`"
	case errors.Is(err, admin.ErrWhichBroker):
		return "say which with --broker HOST:PORT"
	case errors.Is(err, admin.ErrNoTransaction):
		return "see what there is with `twostage tx list --state all`"
	case errors.Is(err, fsck.ErrNoStore):
		return "give the directory that holds commitlog/, or the server's --data"
	case errors.Is(err, checkpoint.ErrInUse):
		return "stop the broker first"
	case errors.Is(err, errDamage):
		return "views can be built again with `twostage store rebuild`; see docs/operations.md"
	case errors.Is(err, admin.ErrNoGroup), errors.Is(err, admin.ErrNoProgress):
		return "see what there is with `twostage group list`"
	case errors.Is(err, admin.ErrGroupExists):
		return "change it with `twostage group update GROUP`"
	case errors.Is(err, admin.ErrTopicExists):
		return "change it with `twostage topic update TOPIC`"
	case errors.Is(err, admin.ErrNotOnline):
		return "see who is with `twostage consumer list`"
	case errors.Is(err, admin.ErrNoProducer):
		return "see who is with `twostage producer list`"
	case errors.Is(err, admin.ErrNoQueue):
		return "see what there is with `twostage topic route TOPIC`"
	case errors.Is(err, admin.ErrNoMessage):
		return "look for it with `twostage message find --topic TOPIC`; it may have been deleted by retention"
	case errors.Is(err, admin.ErrNoTrace):
		return "clients must be set up to trace, and the broker needs traceTopicEnable=true"
	case errors.Is(err, admin.ErrPopped):
		return "send it to its topic, for all groups that read it, with `twostage dlq resend GROUP --to TOPIC`"
	case errors.Is(err, admin.ErrUnreadable):
		return "let it be read with `twostage topic update %DLQ%GROUP --perm rw`"
	case errors.Is(err, admin.ErrNoDeadLetters):
		return "see who has some with `twostage dlq list`"
	case errors.Is(err, admin.ErrCluster):
		return "say which with --cluster NAME"
	case errors.Is(err, rpc.NotSupported):
		return "the server is of a version, or of a kind, that does not have this request; `twostage broker list` shows versions"
	case errors.Is(err, rpc.SystemBusy):
		return "try again in a moment; `twostage broker list` shows what the broker does"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "nothing listens there; `twostage broker list` shows which brokers there are"
	case errors.Is(err, context.DeadlineExceeded):
		return "no answer came in time: is the address reachable from here? `twostage broker list` shows which brokers answer"
	}
	return refusal(err)
}

// fixedKey tells a key that can't change at run time from a sender who may not
// change any: both are answered NO_PERMISSION.
func fixedKey(err error) bool {
	e, ok := errors.AsType[*rpc.Error](err)
	return ok && errors.Is(e, rpc.NoPermission) && (e.Request == wire.ReqUpdateBrokerConfig || e.Request == wire.ReqUpdateNamesrvConfig) &&
		strings.HasPrefix(e.Remark, "nothing was changed: ")
}

func rootCommand(p Process) *cobra.Command {
	root := &cobra.Command{
		Use: "twostage", Short: "A message broker that speaks RocketMQ's protocols",
		Long:         "Twostage is a message broker for applications of Apache RocketMQ: a name server, a broker and the tools\nto look after them, in one binary. `twostage server` runs all of it.",
		SilenceUsage: true, SilenceErrors: true,
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usagef("%w", err) })
	root.AddCommand(serverCommand(p), clusterCommand(p), brokerCommand(p), topicCommand(p), messageCommand(p), groupCommand(p),
		offsetCommand(p), dlqCommand(p), producerCommand(p), consumerCommand(p), txCommand(p),
		configCommand(p), namesrvCommand(p), aclCommand(p), storeCommand(p), healthCommand(p), benchCommand(p), versionCommand(p))
	root.Args = noun
	root.RunE = help
	return root
}

// group makes a command that only has commands below it.
func group(use, short string, below ...*cobra.Command) *cobra.Command {
	c := &cobra.Command{Use: use, Short: short, Args: noun, RunE: help}
	c.AddCommand(below...)
	return c
}

// noun refuses a command that there is not.
func noun(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	cmd.SuggestionsMinimumDistance = 2
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		return usagef("no command %q; did you mean %s?", args[0], strings.Join(near, " or "))
	}
	return usagef("no command %q", args[0])
}

func help(cmd *cobra.Command, _ []string) error { return cmd.Help() }

// args checks how many arguments there are.
func args(least, most int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, given []string) error {
		if len(given) < least || len(given) > most {
			return usagef("%d arguments for %q", len(given), cmd.Use)
		}
		return nil
	}
}
