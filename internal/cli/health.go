// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
)

// healthLimit is how much of an answer is read: that of a healthy server is a word.
const healthLimit = 64 << 10

// errNotReady says that a server answered and is not well.
var errNotReady = errors.New("not ready")

func healthCommand(p Process) *cobra.Command {
	var live bool
	var timeout time.Duration
	secured := &tlsFlags{}
	c := &cobra.Command{
		Use: "health [HOST:PORT]", Short: "Ask a server whether it is ready, for container health checks", Args: args(0, 1),
		Long: `Ask the HTTP listener of a server (127.0.0.1:8082) for /readyz, with --live for /healthz, and print the answer. The
exit code is 0 when the server says yes, 1 when it says no or does not answer. An image without a shell and curl
needs no more for its health check. A server of this machine, on the loopback, is asked by TLS where it takes no
plaintext (tls.server.mode=enforcing), whatever its certificate; any other one with --tls.`,
		Example: "  twostage health\n  twostage health 10.0.0.7:8082 --live",
		RunE: func(cmd *cobra.Command, given []string) error {
			addr, path := "127.0.0.1:8082", "/readyz"
			if len(given) > 0 {
				addr = given[0]
			}
			if live {
				path = "/healthz"
			}
			of, err := secured.client()
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), timeout)
			defer cancel()
			var text []byte
			if of == nil {
				text, err = askHealth(ctx, addr, path, nil)
				if err == nil || errors.Is(err, errNotReady) || !ownMachine(addr) || !closedUnanswered(err) {
					return answerHealth(p, text, err)
				}
				skip := &tlsFlags{on: true, skipVerify: true}
				if of, err = skip.client(); err != nil {
					return err
				}
			}
			config, err := of(addr)
			if err != nil {
				return usagef("%q: accepted is HOST:PORT", addr)
			}
			text, err = askHealth(ctx, addr, path, config)
			return answerHealth(p, text, err)
		},
	}
	c.Flags().BoolVar(&live, "live", false, "ask whether the process serves at all, also while it recovers")
	c.Flags().DurationVar(&timeout, "timeout", 3*time.Second, "how long the answer may take")
	secured.add(c)
	return c
}

// answerHealth writes the answer of a server that is well.
func answerHealth(p Process, text []byte, err error) error {
	if err != nil {
		return err
	}
	_, err = p.Stdout.Write(text)
	return err
}

// ownMachine says whether an address is on the loopback, where nobody else answers in
// a server's place.
func ownMachine(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	ip, bad := netip.ParseAddr(host)
	return err == nil && (host == "localhost" || bad == nil && ip.Unmap().IsLoopback())
}

// closedUnanswered says that there was a connection, which ended without an answer:
// what a server that enforces TLS does with plaintext.
func closedUnanswered(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// askHealth asks a server for path, by TLS where config is not nil.
func askHealth(ctx context.Context, addr, path string, config *tls.Config) ([]byte, error) {
	scheme := "http"
	if config != nil {
		scheme = "https"
	}
	url := scheme + "://" + addr + path
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, usagef("%q: accepted is HOST:PORT", addr)
	}
	h := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: config}}
	resp, err := h.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, healthLimit))
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%w: %s answers %s: %s", errNotReady, url, resp.Status, strings.TrimSpace(string(text)))
	}
	return text, nil
}
