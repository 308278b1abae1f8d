// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
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
	c := &cobra.Command{
		Use: "health [HOST:PORT]", Short: "Ask a server whether it is ready, for container health checks", Args: args(0, 1),
		Long: `Ask the HTTP listener of a server (127.0.0.1:8082) for /readyz, with --live for /healthz, and print the answer. The
exit code is 0 when the server says yes, 1 when it says no or does not answer. An image without a shell and curl
needs no more for its health check.`,
		Example: "  twostage health\n  twostage health 10.0.0.7:8082 --live",
		RunE: func(cmd *cobra.Command, given []string) error {
			addr, path := "127.0.0.1:8082", "/readyz"
			if len(given) > 0 {
				addr = given[0]
			}
			if live {
				path = "/healthz"
			}
			req, err := http.NewRequestWithContext(cmd.Context(), http.MethodGet, "http://"+addr+path, nil)
			if err != nil {
				return usagef("%q: accepted is HOST:PORT", addr)
			}
			h := &http.Client{Timeout: timeout, Transport: &http.Transport{DisableKeepAlives: true}}
			resp, err := h.Do(req)
			if err != nil {
				return err
			}
			defer resp.Body.Close()
			text, err := io.ReadAll(io.LimitReader(resp.Body, healthLimit))
			if err != nil {
				return err
			}
			if resp.StatusCode != http.StatusOK {
				return fmt.Errorf("%w: http://%s%s answers %s: %s", errNotReady, addr, path, resp.Status, strings.TrimSpace(string(text)))
			}
			_, err = p.Stdout.Write(text)
			return err
		},
	}
	c.Flags().BoolVar(&live, "live", false, "ask whether the process serves at all, also while it recovers")
	c.Flags().DurationVar(&timeout, "timeout", 3*time.Second, "how long the answer may take")
	return c
}
