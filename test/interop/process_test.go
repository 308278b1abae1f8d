// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package interop

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"

	rocketmq "github.com/apache/rocketmq-client-go/v2"
	"github.com/apache/rocketmq-client-go/v2/primitive"
	"github.com/apache/rocketmq-client-go/v2/producer"
)

// roleChecker is the part of a second process: a transactional producer of the
// same group that answers check-backs with commit, and prints a line for each.
const roleChecker = "checker"

const (
	namesrvVariable = "INTEROP_NAMESRV"
	groupVariable   = "INTEROP_GROUP"
	topicVariable   = "INTEROP_TOPIC"
)

// checker runs until its standard input ends.
func checker() int {
	l := &local{execute: always(primitive.CommitMessageState), check: func(m *primitive.MessageExt, _ int) primitive.LocalTransactionState {
		fmt.Printf("checked %s\n", m.Body)
		return primitive.CommitMessageState
	}}
	p, err := rocketmq.NewTransactionProducer(l, producer.WithNsResolver(primitive.NewPassthroughResolver([]string{os.Getenv(namesrvVariable)})),
		producer.WithInstanceName("checker"), producer.WithGroupName(os.Getenv(groupVariable)))
	if err == nil {
		err = p.Start()
	}
	if err == nil {
		// A producer of this client greets the brokers that it has sent to.
		_, err = p.SendMessageInTransaction(context.Background(), primitive.NewMessage(os.Getenv(topicVariable), []byte("hello")))
	}
	if err != nil {
		fmt.Println("failed", err)
		return 1
	}
	_, _ = io.Copy(io.Discard, os.Stdin)
	_ = p.Shutdown()
	return 0
}

// testTxCheckedByAnotherProcess lets the sender go before the check: another
// process of its group answers.
func testTxCheckedByAnotherProcess(t *testing.T, c *cluster) {
	topic, in := c.topic(t, "topic", 1), &inbox{}
	c.consumer(t, name(t, "group"), topic, in)
	l := &local{execute: always(primitive.UnknowState), check: func(*primitive.MessageExt, int) primitive.LocalTransactionState {
		return primitive.RollbackMessageState
	}}
	p := c.transactions(t, name(t, "tx"), l)
	sendTx(t, p, primitive.NewMessage(topic, []byte("orphan")))
	if err := p.Shutdown(); err != nil {
		t.Fatal(err)
	}
	lines := startChecker(t, c.Namesrv, name(t, "tx"), c.topic(t, "hello", 1))
	in.await(t, patient, "orphan")
	var said []string
	await(t, soon, func() string {
		select {
		case line := <-lines:
			said = append(said, line)
		default:
		}
		if len(said) == 0 {
			return "the second process has said nothing"
		}
		return ""
	})
	if said[0] != "checked orphan" {
		t.Errorf("the second process said %q", said)
	}
	if n := l.checked("orphan"); n != 0 {
		t.Errorf("the sender was checked %d times: it left too late for this test", n)
	}
}

// startChecker runs the second process, and ends it with the test. It gives the
// lines that it prints.
func startChecker(t *testing.T, namesrv, group, topic string) <-chan string {
	t.Helper()
	return startPart(t, roleChecker, namesrv, group, topic).lines
}

// part is a process of this test binary that plays a role.
type part struct {
	cmd   *exec.Cmd
	lines chan string // what it says
	read  chan struct{}
	dead  bool
}

// startPart runs a role. It ends when its standard input does, with the test.
func startPart(t *testing.T, role, namesrv, group, topic string) *part {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := &part{cmd: exec.Command(self), lines: make(chan string, 10_000), read: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), roleVariable+"="+role, namesrvVariable+"="+namesrv, groupVariable+"="+group, topicVariable+"="+topic)
	p.cmd.Stderr = os.Stderr
	in, err := p.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.read)
		for s := bufio.NewScanner(out); s.Scan(); {
			if line := s.Text(); strings.HasPrefix(line, "checked ") || strings.HasPrefix(line, "failed ") || strings.HasPrefix(line, "got ") {
				p.lines <- line
			}
		}
	}()
	t.Cleanup(func() {
		_ = in.Close()
		<-p.read
		if err := p.cmd.Wait(); err != nil && !p.dead {
			t.Errorf("the second process: %v", err)
		}
	})
	return p
}

// said waits until the process has said n lines, and gives them.
func (p *part) said(t *testing.T, n int) []string {
	t.Helper()
	var all []string
	await(t, patient, func() string {
		for len(all) < n {
			select {
			case line := <-p.lines:
				all = append(all, line)
			default:
				return fmt.Sprintf("the second process has said %d of %d lines", len(all), n)
			}
		}
		return ""
	})
	return all
}

// kill ends the process with SIGKILL, and gives what it has said besides.
func (p *part) kill(t *testing.T) []string {
	t.Helper()
	p.dead = true
	if err := p.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-p.read
	var rest []string
	for len(p.lines) > 0 {
		rest = append(rest, <-p.lines)
	}
	return rest
}
