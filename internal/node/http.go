// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"time"

	"github.com/twostage/twostage/internal/config"
	"github.com/twostage/twostage/internal/lifecycle"
)

const (
	// httpDrain is how long a stop waits for answers that are under way.
	httpDrain = time.Second
	// httpWrite is how long an answer may take until it was read; one of a profile has
	// the time besides that it was asked to last.
	httpWrite = 30 * time.Second
)

// serveHTTP opens the HTTP listener and, if it is asked for, that of the metrics.
func (n *node) serveHTTP() error {
	c := n.Config.HTTP
	mux := http.NewServeMux()
	n.health.mount(mux)
	metrics := n.metricsHandler()
	mux.Handle("GET /metrics", metrics)
	mountProfiles(mux)
	if n.Role != config.RoleNamesrv {
		n.inspect.mount(mux)
	}

	ln, err := listenHTTP(c.BindAddress, c.Port)
	switch {
	case err == nil:
		n.http = ln.Addr().(*net.TCPAddr).AddrPort()
		if ln, err = n.shielded(ln); err != nil {
			return fmt.Errorf("http: %w", err)
		}
		runHTTP(n.group, n.Logger, "http", ln, mux)
	case c.Explicit || !taken(err):
		return fmt.Errorf("http: %w\nhttpListenPort=%d or httpBindAddress is to blame: choose others with %s httpListenPort=PORT (0 picks a free one)", err, c.Port, n.setFlag())
	default:
		n.Logger.Warn("no HTTP listener: its port is taken; choose another with "+n.setFlag()+" httpListenPort=PORT", "httpListenPort", c.Port, "err", err)
	}
	return n.servePrometheus(metrics)
}

// servePrometheus opens the metrics listener of RocketMQ 5.
func (n *node) servePrometheus(metrics http.Handler) error {
	m := n.Config.Broker.Metrics
	if !m.Prometheus || n.Role == config.RoleNamesrv {
		return nil
	}
	ln, err := listenHTTP(m.Host, m.Port)
	if err != nil {
		if !taken(err) {
			return fmt.Errorf("metrics: %w\nmetricsPromExporterHost is to blame", err)
		}
		n.Logger.Warn("no metrics listener: its port is taken; choose another with --set metricsPromExporterPort=PORT", "metricsPromExporterPort", m.Port, "err", err)
		return nil
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", metrics)
	n.Logger.Info("metrics are served", "addr", reachable(ln.Addr().(*net.TCPAddr).AddrPort()))
	if ln, err = n.shielded(ln); err != nil {
		return fmt.Errorf("metrics: %w", err)
	}
	runHTTP(n.group, n.Logger, "metrics", ln, mux)
	return nil
}

// setFlag sets keys of the file that has those of HTTP.
func (n *node) setFlag() string {
	if n.Role == config.RoleNamesrv {
		return "--namesrv-set"
	}
	return "--set"
}

func listenHTTP(host string, port int) (net.Listener, error) {
	if ip, err := netip.ParseAddr(host); err == nil && ip.Is4() && ip.IsUnspecified() {
		return net.Listen("tcp4", net.JoinHostPort(host, strconv.Itoa(port)))
	}
	return net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(port)))
}

func newHTTP(logger *slog.Logger, h http.Handler) *http.Server {
	return &http.Server{
		Handler: h, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: httpWrite, IdleTimeout: 2 * time.Minute,
		MaxHeaderBytes: 16 << 10, ErrorLog: slog.NewLogLogger(logger.Handler(), slog.LevelDebug),
	}
}

// runHTTP serves on ln as a part of the group.
func runHTTP(g *lifecycle.Group, logger *slog.Logger, name string, ln net.Listener, h http.Handler) {
	s := newHTTP(logger, h)
	g.Go(name, func(context.Context) error {
		if err := s.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	})
	g.Defer(name, func() error {
		ctx, cancel := context.WithTimeout(context.Background(), httpDrain)
		defer cancel()
		if s.Shutdown(ctx) != nil { // somebody reads slowly
			return s.Close()
		}
		return nil
	})
}
