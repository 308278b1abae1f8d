// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// node is a value of the YAML that access files are written in: block mappings and
// lists, lists of scalars in brackets, plain and quoted scalars, comments.
type node struct {
	line   int
	scalar string
	quoted bool
	keys   []string // of a mapping, in order
	values []*node  // of a mapping or a list
	list   bool
}

func (n *node) isScalar() bool { return n.keys == nil && !n.list }

// null says whether the value is absent.
func (n *node) null() bool {
	return n == nil || n.isScalar() && !n.quoted && (n.scalar == "" || n.scalar == "~" || n.scalar == "null")
}

// yamlLine is a line without its comment.
type yamlLine struct {
	n      int // from 1
	indent int
	text   string
}

const (
	maxYAML      = 4 << 20 // bytes of a file
	maxYAMLDepth = 16
)

type yamlParser struct {
	lines []yamlLine
	at    int
}

// yamlError names the line, and never what stands there: it could be a secret.
func yamlError(line int, format string, args ...any) error {
	return fmt.Errorf("line %d: %s", line, fmt.Sprintf(format, args...))
}

// parseYAML reads a document. An empty one is a null.
func parseYAML(data []byte) (*node, error) {
	if len(data) > maxYAML {
		return nil, fmt.Errorf("%d bytes are too many for an access file, at most %d are read", len(data), maxYAML)
	}
	if !utf8.Valid(data) {
		return nil, fmt.Errorf("the file is not UTF-8")
	}
	p := &yamlParser{}
	for i, raw := range strings.Split(strings.TrimPrefix(string(data), "\ufeff"), "\n") {
		raw = strings.TrimRight(raw, " \r\t")
		text := strings.TrimLeft(raw, " ")
		switch {
		case text == "" || text[0] == '#':
			continue
		case text[0] == '\t':
			return nil, yamlError(i+1, "a tab cannot indent: use blanks")
		case (text == "---" || text == "...") && len(p.lines) == 0:
			continue
		case text == "---" || strings.HasPrefix(text, "%"):
			return nil, yamlError(i+1, "one document without directives is read")
		}
		p.lines = append(p.lines, yamlLine{i + 1, len(raw) - len(text), text})
	}
	if len(p.lines) == 0 {
		return &node{}, nil
	}
	n, err := p.block(p.lines[0].indent, maxYAMLDepth)
	if err == nil && p.at < len(p.lines) {
		err = yamlError(p.lines[p.at].n, "unexpected indentation")
	}
	return n, err
}

// block reads the mapping or list whose lines have the indentation.
func (p *yamlParser) block(indent, depth int) (*node, error) {
	first := p.lines[p.at]
	if depth == 0 {
		return nil, yamlError(first.n, "values nest deeper than %d", maxYAMLDepth)
	}
	n := &node{line: first.n, list: isItem(first.text)}
	for p.at < len(p.lines) && p.lines[p.at].indent == indent {
		if isItem(p.lines[p.at].text) != n.list {
			if n.list { // a list under its key, without indentation: the next key ends it
				return n, nil
			}
			return nil, yamlError(p.lines[p.at].n, "a list item among keys")
		}
		var err error
		if n.list {
			err = p.item(n, indent, depth)
		} else {
			err = p.member(n, indent, depth)
		}
		if err != nil {
			return nil, err
		}
	}
	if p.at < len(p.lines) && p.lines[p.at].indent > indent {
		return nil, yamlError(p.lines[p.at].n, "unexpected indentation")
	}
	return n, nil
}

func isItem(text string) bool { return text == "-" || strings.HasPrefix(text, "- ") }

// item reads "- ...": a scalar, or a block that begins behind the dash.
func (p *yamlParser) item(n *node, indent, depth int) error {
	l := &p.lines[p.at]
	rest := strings.TrimLeft(strings.TrimPrefix(l.text, "-"), " ")
	if rest == "" || rest[0] == '#' {
		p.at++
		return p.below(n, l.n, indent, depth)
	}
	if _, _, keyed, err := splitKey(*l, rest); err != nil {
		return err
	} else if keyed || isItem(rest) { // what follows has the indentation of its first character
		l.indent += len(l.text) - len(rest)
		l.text = rest
		v, err := p.block(l.indent, depth-1)
		n.values = append(n.values, v)
		return err
	}
	v, err := p.value(*l, rest)
	p.at++
	n.values = append(n.values, v)
	return err
}

// member reads "key: value".
func (p *yamlParser) member(n *node, indent, depth int) error {
	l := p.lines[p.at]
	key, rest, ok, err := splitKey(l, l.text)
	if err != nil {
		return err
	}
	if !ok {
		return yamlError(l.n, "this is not key: value")
	}
	for _, k := range n.keys {
		if k == key {
			return yamlError(l.n, "this key stands there twice")
		}
	}
	n.keys = append(n.keys, key)
	p.at++
	if rest == "" || rest[0] == '#' {
		return p.below(n, l.n, indent, depth)
	}
	v, err := p.value(l, rest)
	n.values = append(n.values, v)
	return err
}

// below reads the block under a key or a dash, null if there is none.
func (p *yamlParser) below(n *node, line, indent, depth int) error {
	v := &node{line: line}
	if p.at < len(p.lines) {
		next := p.lines[p.at]
		if next.indent > indent || next.indent == indent && !n.list && isItem(next.text) {
			var err error
			if v, err = p.block(next.indent, depth-1); err != nil {
				return err
			}
		}
	}
	n.values = append(n.values, v)
	return nil
}

// splitKey cuts "key: rest"; ok is false for what is none.
func splitKey(l yamlLine, text string) (key, rest string, ok bool, err error) {
	if text[0] == '"' || text[0] == '\'' {
		key, rest, err = quoted(l, text)
		if err != nil || !strings.HasPrefix(rest, ":") {
			return "", "", false, err
		}
		return key, strings.TrimLeft(rest[1:], " "), true, nil
	}
	if strings.ContainsRune("[{&*!|>?@`", rune(text[0])) {
		return "", "", false, nil
	}
	for i := 0; i < len(text); i++ {
		switch {
		case text[i] == '#' && i > 0 && text[i-1] == ' ':
			return "", "", false, nil
		case text[i] == ':' && (i+1 == len(text) || text[i+1] == ' '):
			return strings.TrimRight(text[:i], " "), strings.TrimLeft(text[i+1:], " "), i > 0, nil
		}
	}
	return "", "", false, nil
}

// value reads what stands behind a key or a dash on its line.
func (p *yamlParser) value(l yamlLine, text string) (*node, error) {
	n := &node{line: l.n}
	rest := ""
	var err error
	switch text[0] {
	case '"', '\'':
		n.quoted = true
		n.scalar, rest, err = quoted(l, text)
	case '[':
		n.list = true
		rest, err = p.flow(l, n, text)
	case '{':
		if !strings.HasPrefix(text, "{}") {
			return nil, yamlError(l.n, "maps in braces are not read here: write one key a line")
		}
		rest = text[2:]
	case '&', '*', '!', '|', '>', '@', '`', '%':
		// "*" begins an alias in YAML, but a white list entry in files that people write.
		if text[0] != '*' {
			return nil, yamlError(l.n, "put a value that begins with one of & ! | > @ ` %% in quotes")
		}
		fallthrough
	default:
		n.scalar = plain(text)
	}
	if err != nil {
		return nil, err
	}
	if rest = strings.TrimLeft(rest, " "); rest != "" && rest[0] != '#' {
		return nil, yamlError(l.n, "something stands behind a value: put it in quotes with the value, or behind a blank and #")
	}
	return n, nil
}

// plain cuts the comment off a plain scalar.
func plain(text string) string {
	if i := strings.Index(text, " #"); i >= 0 {
		text = text[:i]
	}
	return strings.TrimRight(text, " ")
}

// flow reads a list of scalars in brackets.
func (p *yamlParser) flow(l yamlLine, n *node, text string) (rest string, err error) {
	text = strings.TrimLeft(text[1:], " ")
	for {
		if strings.HasPrefix(text, "]") {
			return text[1:], nil
		}
		v := &node{line: l.n}
		switch {
		case text == "":
			return "", yamlError(l.n, "the bracket is not closed on its line")
		case text[0] == '"' || text[0] == '\'':
			v.quoted = true
			if v.scalar, text, err = quoted(l, text); err != nil {
				return "", err
			}
		default:
			i := strings.IndexAny(text, ",]")
			if i < 0 {
				return "", yamlError(l.n, "the bracket is not closed on its line")
			}
			v.scalar, text = strings.TrimRight(text[:i], " "), text[i:]
			if strings.ContainsAny(v.scalar, "[{") || v.scalar == "" {
				return "", yamlError(l.n, "a list in brackets holds plain values only")
			}
		}
		n.values = append(n.values, v)
		text = strings.TrimLeft(text, " ")
		if strings.HasPrefix(text, ",") {
			text = strings.TrimLeft(text[1:], " ")
		} else if !strings.HasPrefix(text, "]") {
			return "", yamlError(l.n, "a comma or ] is missing in the list")
		}
	}
}

// quoted reads a scalar in quotes of either kind.
func quoted(l yamlLine, text string) (value, rest string, err error) {
	var b strings.Builder
	q := text[0]
	for i := 1; i < len(text); i++ {
		c := text[i]
		switch {
		case c == q && q == '\'' && i+1 < len(text) && text[i+1] == q:
			b.WriteByte(q)
			i++
		case c == q:
			return b.String(), text[i+1:], nil
		case c == '\\' && q == '"':
			i++
			if i == len(text) {
				return "", "", yamlError(l.n, "the quote is not closed on its line")
			}
			at := strings.IndexByte("\\\"/nt", text[i])
			if at < 0 {
				return "", "", yamlError(l.n, `of escapes only \\ \" \/ \n \t are read here`)
			}
			b.WriteByte("\\\"/\n\t"[at])
		default:
			b.WriteByte(c)
		}
	}
	return "", "", yamlError(l.n, "the quote is not closed on its line")
}

// appendScalar writes a value so that parseYAML and Java read the same text.
func appendScalar(dst []byte, text string) []byte {
	for i := 0; i < len(text); i++ {
		c := text[i]
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || i > 0 && ('0' <= c && c <= '9' || c == '_' || c == '-' || c == '.')) {
			dst = append(dst, '"')
			for _, c := range []byte(text) {
				switch c {
				case '\n':
					dst = append(dst, '\\', 'n')
					continue
				case '\t':
					dst = append(dst, '\\', 't')
					continue
				case '"', '\\':
					dst = append(dst, '\\')
				}
				dst = append(dst, c)
			}
			return append(dst, '"')
		}
	}
	switch strings.ToLower(text) { // words that mean something else without quotes
	case "", "null", "true", "false", "yes", "no", "on", "off", "y", "n":
		dst = append(dst, '"')
		return append(append(dst, text...), '"')
	}
	return append(dst, text...)
}
