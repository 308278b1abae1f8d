// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/twostage/twostage/internal/config"
	"github.com/twostage/twostage/internal/node"
	"github.com/twostage/twostage/internal/vfs"
)

// serverFlags are the flags of `twostage server`.
type serverFlags struct {
	role, data              string
	brokerFile, namesrvFile string
	brokerKeys, namesrvKeys []string
	namesrv                 string
	logLevel, logFormat     string
	printConfig             bool
	insecureAdmin           bool
}

func serverCommand(p Process) *cobra.Command {
	f := &serverFlags{}
	c := &cobra.Command{
		Use: "server", Short: "Run a name server and a broker, or one of them", Args: args(0, 0),
		Long: `Run a name server (9876), a broker (10911, and 10909 for clients with the VIP channel on) and HTTP (8082:
/healthz, /readyz, /metrics) in one process. When all of them serve, one line on standard output says so:

  ready namesrv=HOST:PORT broker=HOST:PORT http=HOST:PORT admin=loopback data=DIR

admin= says who may send requests that destroy or decide: loopback is programs of this machine, acl who access
control lets (aclEnable, authenticationEnabled), open everybody (--insecure-admin).

Keys are RocketMQ's, in files (-c, --namesrv-config), as variables TWOSTAGE_<KEY>, and with --set; the later
ones win. SIGTERM and SIGINT stop it in order; a second one stops it at once.`,
		Example: `  twostage server
  twostage server --data /var/lib/twostage -c broker.conf --set brokerName=broker-a
  twostage server --role namesrv
  twostage server --role broker --namesrv "10.0.0.1:9876;10.0.0.2:9876"`,
		RunE: func(cmd *cobra.Command, _ []string) error { return f.run(cmd.Context(), p) },
	}
	fl := c.Flags()
	fl.StringVar(&f.role, "role", "all", "what to run: all, namesrv or broker")
	fl.StringVar(&f.data, "data", p.variable(variableData, "twostage-data"), "`directory` of store/ and namesrv/, made where there is none")
	fl.StringVarP(&f.brokerFile, "config", "c", "", "properties `file` with RocketMQ's broker keys")
	fl.StringVar(&f.namesrvFile, "namesrv-config", "", "properties `file` with RocketMQ's name server keys")
	fl.StringArrayVar(&f.brokerKeys, "set", nil, "`key=value` of the broker; may be repeated")
	fl.StringArrayVar(&f.namesrvKeys, "namesrv-set", nil, "`key=value` of the name server; may be repeated")
	fl.StringVar(&f.namesrv, "namesrv", "", "name servers to register with, `HOST:PORT;...`; the same as --set namesrvAddr=...")
	fl.StringVar(&f.logLevel, "log-level", "info", "debug, info, warn or error")
	fl.StringVar(&f.logFormat, "log-format", "text", "text or json")
	fl.BoolVar(&f.insecureAdmin, "insecure-admin", false, "take requests that destroy or decide from everywhere, without access control; the same as --set and --namesrv-set insecureAdmin=true")
	fl.BoolVar(&f.printConfig, "print-config", false, "print the configuration that all sources make together, and end")
	return c
}

func (f *serverFlags) run(ctx context.Context, p Process) error {
	role, err := config.ParseRole(f.role)
	if err != nil {
		return usagef("--role: %w", err)
	}
	logger, err := newLogger(p.Stderr, f.logLevel, f.logFormat)
	if err != nil {
		return err
	}
	cfg, err := f.load(p, role)
	if err != nil {
		return err
	}
	if f.printConfig {
		return printConfig(p.Stdout, cfg, role)
	}
	data, err := f.place(cfg, role)
	if err != nil {
		return err
	}
	return node.Run(ctx, node.Options{Config: cfg, Role: role, Data: data, Stdout: p.Stdout, Logger: logger, FS: vfs.OS(), Version: version(), NotifySocket: p.variable(variableNotify, "")})
}

// load reads all sources of the configuration.
func (f *serverFlags) load(p Process, role config.Role) (*config.Config, error) {
	s := config.Sources{
		Role: role, DataDir: f.data, Environment: p.Environment, OwnVariables: []string{variableData, variableNamesrv, variableAccess, variableSecret},
	}
	s.HostName, _ = os.Hostname() // without one, config has a name
	var err error
	if s.Flags, err = keyValues("--set", f.brokerKeys); err != nil {
		return nil, err
	}
	if s.NamesrvFlags, err = keyValues("--namesrv-set", f.namesrvKeys); err != nil {
		return nil, err
	}
	if f.namesrv != "" {
		if set, ok := s.Flags["namesrvAddr"]; ok && set != f.namesrv {
			return nil, usagef("--namesrv %s and --set namesrvAddr=%s say different things", f.namesrv, set)
		}
		if role == config.RoleNamesrv {
			return nil, usagef("--namesrv is for a broker; name servers do not know each other")
		}
		s.Flags["namesrvAddr"] = f.namesrv
	}
	if f.insecureAdmin {
		if role != config.RoleNamesrv {
			s.Flags["insecureAdmin"] = "true"
		}
		if role != config.RoleBroker {
			s.NamesrvFlags["insecureAdmin"] = "true"
		}
	}
	if f.brokerFile != "" {
		if s.BrokerFile, err = config.ReadFile(f.brokerFile); err != nil {
			return nil, err
		}
	}
	if f.namesrvFile != "" {
		if s.NamesrvFile, err = config.ReadFile(f.namesrvFile); err != nil {
			return nil, err
		}
	}
	return config.Load(s)
}

// keyValues reads flags of the form key=value.
func keyValues(flag string, given []string) (map[string]string, error) {
	m := make(map[string]string, len(given))
	for _, kv := range given {
		key, value, ok := strings.Cut(kv, "=")
		key = strings.TrimSpace(key)
		if !ok || key == "" {
			return nil, usagef("%s %q is not key=value", flag, kv)
		}
		if before, ok := m[key]; ok && before != value {
			return nil, usagef("%s has %s twice: %s and %s", flag, key, before, value)
		}
		m[key] = value
	}
	return m, nil
}

// place is the directory that the ready line names: that of --data, or of the
// store of a broker alone whose store is elsewhere.
func (f *serverFlags) place(cfg *config.Config, role config.Role) (string, error) {
	dir, err := filepath.Abs(f.data)
	if err != nil {
		return "", fmt.Errorf("--data: %w", err)
	}
	if role != config.RoleBroker {
		return dir, nil
	}
	store, err := filepath.Abs(cfg.Broker.Store.Dir)
	if err != nil {
		return "", fmt.Errorf("storePathRootDir: %w", err)
	}
	if store != filepath.Join(dir, "store") {
		return store, nil
	}
	return dir, nil
}

func printConfig(w io.Writer, cfg *config.Config, role config.Role) error {
	var out []byte
	if role != config.RoleNamesrv {
		out = append(out, "# broker\n"...)
		out = cfg.BrokerValues.AppendProperties(out)
	}
	if role != config.RoleBroker {
		out = append(out, "# name server\n"...)
		out = cfg.NamesrvValues.AppendProperties(out)
	}
	_, err := w.Write(out)
	return err
}

func newLogger(w io.Writer, level, format string) (*slog.Logger, error) {
	var l slog.Level
	if err := l.UnmarshalText([]byte(level)); err != nil {
		return nil, usagef("--log-level %q: accepted are debug, info, warn, error", level)
	}
	o := &slog.HandlerOptions{Level: l}
	switch format {
	case "text":
		return slog.New(slog.NewTextHandler(w, o)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(w, o)), nil
	}
	return nil, usagef("--log-format %q: accepted are text, json", format)
}
