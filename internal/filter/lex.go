// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package filter

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// kind is what a token is.
type kind uint8

const (
	end kind = iota
	word
	text
	integer
	float
	comma
	open
	closing
	plus
	minus
	equal
	unequal
	greater
	atLeast
	less
	atMost
	kwNot
	kwAnd
	kwOr
	kwBetween
	kwIn
	kwTrue
	kwFalse
	kwNull
	kwIs
	kwContains
	kwStartsWith
	kwEndsWith
)

var keywords = map[string]kind{
	"NOT": kwNot, "AND": kwAnd, "OR": kwOr, "BETWEEN": kwBetween, "IN": kwIn, "TRUE": kwTrue, "FALSE": kwFalse,
	"NULL": kwNull, "IS": kwIs, "CONTAINS": kwContains, "STARTSWITH": kwStartsWith, "ENDSWITH": kwEndsWith,
}

// longestKeyword is that of STARTSWITH.
const longestKeyword = 10

// syntax is an error at a byte of the expression.
type syntax struct {
	at    int
	cause string
}

// token is a piece of the expression, text[at:to].
type token struct {
	kind   kind
	at, to int
}

// lexer cuts an expression into tokens; of the possible ones the longest.
type lexer struct {
	text string
	at   int
}

func (l *lexer) next() (token, *syntax) {
	if err := l.space(); err != nil {
		return token{}, err
	}
	start := l.at
	if start == len(l.text) {
		return token{end, start, start}, nil
	}
	c := l.text[start]
	switch {
	case isLetter(c):
		return l.word(), nil
	case isDigit(c) || c == '.' && start+1 < len(l.text) && isDigit(l.text[start+1]):
		return l.number(), nil
	case c == '\'':
		return l.string()
	}
	k, size := end, 1
	switch c {
	case ',':
		k = comma
	case '(':
		k = open
	case ')':
		k = closing
	case '+':
		k = plus
	case '-':
		k = minus
	case '=':
		k = equal
	case '<':
		switch {
		case l.has("<>"):
			k, size = unequal, 2
		case l.has("<="):
			k, size = atMost, 2
		default:
			k = less
		}
	case '>':
		if k = greater; l.has(">=") {
			k, size = atLeast, 2
		}
	default:
		r, _ := utf8.DecodeRuneInString(l.text[start:])
		return token{}, &syntax{start, fmt.Sprintf("the character %q has no meaning outside of a string", r)}
	}
	l.at += size
	return token{k, start, l.at}, nil
}

func (l *lexer) has(s string) bool { return strings.HasPrefix(l.text[l.at:], s) }

// space passes over what may stand between tokens. A "--" without a line's end
// behind it is two minus signs.
func (l *lexer) space() *syntax {
	for l.at < len(l.text) {
		switch c := l.text[l.at]; {
		case c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f':
			l.at++
		case l.has("--"):
			i := strings.IndexAny(l.text[l.at:], "\r\n")
			if i < 0 {
				return nil
			}
			l.at += i + 1
		case l.has("/*"):
			i := strings.Index(l.text[l.at+2:], "*/")
			if i < 0 {
				return &syntax{l.at, "the comment has no end: */ is missing"}
			}
			l.at += i + 4
		default:
			return nil
		}
	}
	return nil
}

func (l *lexer) word() token {
	start := l.at
	for l.at < len(l.text) && (isLetter(l.text[l.at]) || isDigit(l.text[l.at])) {
		l.at++
	}
	if s := l.text[start:l.at]; len(s) <= longestKeyword {
		if k, ok := keywords[strings.ToUpper(s)]; ok {
			return token{k, start, l.at}
		}
	}
	return token{word, start, l.at}
}

func (l *lexer) number() token {
	start := l.at
	whole := l.digits(start)
	to, isFloat := whole, false
	if whole < len(l.text) && l.text[whole] == '.' {
		to, isFloat = l.digits(whole+1), true
	}
	if e := l.exponent(to); e > to {
		to, isFloat = e, true
	}
	if isFloat {
		l.at = to
		return token{float, start, to}
	}
	switch {
	case l.text[start] == '0':
		to = start + 1 // whatever follows is the next token
	case to < len(l.text) && (l.text[to] == 'l' || l.text[to] == 'L'):
		to++
	}
	l.at = to
	return token{integer, start, to}
}

func (l *lexer) digits(at int) int {
	for at < len(l.text) && isDigit(l.text[at]) {
		at++
	}
	return at
}

// exponent is the end of the exponent that begins at a byte, the byte itself
// when none does.
func (l *lexer) exponent(at int) int {
	i := at
	if i == len(l.text) || l.text[i] != 'e' && l.text[i] != 'E' {
		return at
	}
	if i++; i < len(l.text) && (l.text[i] == '+' || l.text[i] == '-') {
		i++
	}
	if to := l.digits(i); to > i {
		return to
	}
	return at
}

func (l *lexer) string() (token, *syntax) {
	start := l.at
	for i := start + 1; i < len(l.text); i++ {
		if l.text[i] != '\'' {
			continue
		}
		if i+1 < len(l.text) && l.text[i+1] == '\'' {
			i++
			continue
		}
		l.at = i + 1
		return token{text, start, l.at}, nil
	}
	return token{}, &syntax{start, "the string has no end: ' is missing"}
}

func isLetter(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' || c == '$'
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }
