// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package wiretest

import (
	"encoding/hex"
	"fmt"
	"strings"
	"time"
)

// parser goes through the lines of one recording.
type parser struct {
	name  string
	lines []string
	at    int // of the next line
}

func (p *parser) errorf(format string, args ...any) error {
	return fmt.Errorf("wiretest: %s.txt, line %d: %s", p.name, p.at, fmt.Sprintf(format, args...))
}

// next gives the next line, and false at the end.
func (p *parser) next() (string, bool) {
	if p.at == len(p.lines) {
		return "", false
	}
	p.at++
	return p.lines[p.at-1], true
}

// value gives what stands behind the key at the start of the next line.
func (p *parser) value(key string) (string, error) {
	line, ok := p.next()
	v, found := strings.CutPrefix(line, key)
	if !ok || !found {
		return "", p.errorf("want %q, have %q", key, line)
	}
	return strings.TrimSpace(v), nil
}

// Parse reads a recording. The errors name the line.
func Parse(name, text string) (*Scenario, error) {
	p := &parser{name: name, lines: strings.Split(strings.ReplaceAll(text, "\r\n", "\n"), "\n")}
	s := &Scenario{Name: name}
	conn := 0
	for {
		line, ok := p.next()
		if !ok {
			break
		}
		key, rest, _ := strings.Cut(line, " ")
		var err error
		switch key {
		case "what:":
			s.What = rest
		case "cut:":
			s.Cuts = append(s.Cuts, rest)
		case "connection":
			err = p.connection(s, rest, &conn)
		case "===":
			err = p.connection(s, strings.TrimPrefix(rest, "connection "), &conn)
		case "---":
			var n int
			if _, scanErr := fmt.Sscanf(rest, "frame %d", &n); scanErr == nil {
				err = p.frame(s, n)
			} else if _, scanErr := fmt.Sscanf(rest, "transfer %d", &n); scanErr == nil {
				err = p.transfer(s, n, conn)
			}
		}
		if err != nil {
			return nil, err
		}
	}
	if len(s.Frames)+len(s.Transfers) == 0 {
		return nil, fmt.Errorf("wiretest: %s.txt holds no frame", name)
	}
	return s, nil
}

func (p *parser) connection(s *Scenario, rest string, last *int) error {
	number, who, _ := strings.Cut(rest, ": ")
	c := Connection{}
	if _, err := fmt.Sscanf(number, "%d", &c.Number); err != nil {
		return p.errorf("connection number %q", number)
	}
	var ok bool
	if c.From, c.To, ok = strings.Cut(who, " to "); !ok {
		return p.errorf("connection %d is %q, not from one to another", c.Number, who)
	}
	s.Connections = append(s.Connections, c)
	*last = c.Number
	return nil
}

func (p *parser) frame(s *Scenario, number int) error {
	f := Frame{Number: number}
	direction, err := p.value("direction:")
	if err != nil {
		return err
	}
	var ok bool
	if f.From, f.To, ok = strings.Cut(direction, " -> "); !ok {
		return p.errorf("direction %q", direction)
	}
	line, err := p.value("connection:")
	if err != nil {
		return err
	}
	conn, at, _ := strings.Cut(line, "time:")
	if _, err := fmt.Sscanf(conn, "%d", &f.Conn); err != nil {
		return p.errorf("connection %q", conn)
	}
	if f.At, err = p.elapsed(at); err != nil {
		return err
	}
	if line, err = p.value("kind:"); err != nil {
		return err
	}
	if f.Kind, err = p.kind(line); err != nil {
		return err
	}
	if line, err = p.value("code:"); err != nil {
		return err
	}
	st := &f.Stated
	_, err = fmt.Sscanf(line, "%d opaque: %d flag: %d serialize: %s frame bytes: %d header bytes: %d body bytes: %d",
		&st.Code, &st.Opaque, &st.Flag, &st.Encoding, &st.Length, &st.HeaderSize, &st.BodySize)
	if err != nil {
		return p.errorf("code line: %v", err)
	}
	if st.BodyAt = 8 + st.HeaderSize; st.BodyAt+st.BodySize != st.Length || st.HeaderSize < 0 || st.BodySize < 0 {
		return p.errorf("sizes of the header and the body do not add up to the frame's %d", st.Length)
	}
	if f.Bytes, err = p.hex(st.Length); err != nil {
		return err
	}
	if _, err = p.value("header:"); err != nil {
		return err
	}
	f.Header, _ = p.next()
	s.Frames = append(s.Frames, f)
	return nil
}

func (p *parser) transfer(s *Scenario, number, conn int) error {
	t := Transfer{Number: number, Conn: conn}
	t.What, _ = p.next()
	line, err := p.value("time:")
	if err != nil {
		return err
	}
	at, size, _ := strings.Cut(line, "bytes:")
	if t.At, err = p.elapsed(at); err != nil {
		return err
	}
	var n int
	if _, err := fmt.Sscanf(size, "%d", &n); err != nil {
		return p.errorf("size %q", size)
	}
	if t.Bytes, err = p.hex(n); err != nil {
		return err
	}
	s.Transfers = append(s.Transfers, t)
	return nil
}

// kind reads "request 310 SEND_MESSAGE_V2", "request 39 CHECK_... ONEWAY",
// "response 0 SUCCESS to 310 SEND_MESSAGE_V2", with a remark in brackets behind
// a request that got no answer.
func (p *parser) kind(line string) (Kind, error) {
	var k Kind
	line, remark, _ := strings.Cut(line, " (")
	k.Unanswered = strings.HasPrefix(remark, "no response")
	var what, rest string
	n, _ := fmt.Sscanf(line, "%s %d %s", &what, &k.Code, &k.Name)
	if n < 3 || what != "request" && what != "response" {
		return k, p.errorf("kind %q", line)
	}
	k.Response = what == "response"
	k.OneWay = strings.HasSuffix(line, " ONEWAY")
	if k.Response {
		_, rest, _ = strings.Cut(line, " to ")
		if _, err := fmt.Sscanf(rest, "%d", &k.Request); err != nil {
			return k, p.errorf("kind %q does not say what it answers", line)
		}
	}
	return k, nil
}

func (p *parser) elapsed(s string) (time.Duration, error) {
	d, err := time.ParseDuration(strings.ReplaceAll(strings.TrimSpace(s), " ", ""))
	if err != nil {
		return 0, p.errorf("time: %v", err)
	}
	return d, nil
}

// hex reads a hex block of size bytes.
func (p *parser) hex(size int) ([]byte, error) {
	if _, err := p.value("hex:"); err != nil {
		return nil, err
	}
	var b []byte
	for p.at < len(p.lines) && len(b) < size {
		line, _ := p.next()
		part, err := hex.DecodeString(line)
		if err != nil {
			return nil, p.errorf("hex: %v", err)
		}
		if len(part) == 0 {
			break
		}
		b = append(b, part...)
	}
	if len(b) != size {
		return nil, p.errorf("the hex block has %d bytes, stated are %d", len(b), size)
	}
	return b, nil
}
