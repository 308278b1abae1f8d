// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// MaxFileSize is the largest configuration file that is read, in bytes.
const MaxFileSize = 1 << 20

// ErrProperties is wrapped by every error of ParseProperties.
var ErrProperties = errors.New("malformed properties")

// Entry is one key and value of a properties file. Line is that of the key, from 1. The value keeps its trailing blanks.
type Entry struct {
	Key, Value string
	Line       int
}

// ParseProperties reads the text format of java.util.Properties.load: comments with # and !, `=`, `:` or white space
// between key and value, a backslash at the line's end to continue it, the escapes \t \n \r \f and \uXXXX; any
// other escaped character stands for itself. Text that is not valid UTF-8 is read as ISO-8859-1, as Java does with
// every file; a byte order mark is skipped. Entries are in file order, repeated keys included. The only malformed
// inputs are a \u without four hex digits and a text over MaxFileSize.
func ParseProperties(text []byte) ([]Entry, error) {
	if len(text) > MaxFileSize {
		return nil, fmt.Errorf("%w: %d bytes, at most %d are read", ErrProperties, len(text), MaxFileSize)
	}
	var entries []Entry
	lines := splitLines(decodeText(text))
	for i := 0; i < len(lines); i++ {
		line := strings.TrimLeft(lines[i], blanks)
		if line == "" || line[0] == '#' || line[0] == '!' {
			continue
		}
		number := i + 1
		if continues(line) {
			var whole strings.Builder
			for continues(line) {
				whole.WriteString(line[:len(line)-1])
				line = ""
				if i+1 < len(lines) {
					i++
					line = strings.TrimLeft(lines[i], blanks)
				}
			}
			whole.WriteString(line)
			line = whole.String()
			if line == "" {
				continue
			}
		}
		rawKey, rawValue := splitEntry(line)
		key, err := unescape(rawKey)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
		value, err := unescape(rawValue)
		if err != nil {
			return nil, fmt.Errorf("line %d: key %q: %w", number, key, err)
		}
		entries = append(entries, Entry{Key: key, Value: value, Line: number})
	}
	return entries, nil
}

// AppendProperty appends a line key=value that ParseProperties reads as it was, but for line ends in the value, which
// become blanks, and blanks before it.
func AppendProperty(dst []byte, key, value string) []byte {
	dst = append(dst, escapeKey.Replace(key)...)
	dst = append(dst, '=')
	dst = append(dst, escapeValue.Replace(value)...)
	return append(dst, '\n')
}

var (
	escapeKey = strings.NewReplacer(`\`, `\\`, "=", `\=`, ":", `\:`, " ", `\ `, "\t", `\t`, "\f", `\f`, "\n", `\n`, "\r", `\r`,
		"#", `\#`, "!", `\!`)
	escapeValue = strings.NewReplacer(`\`, `\\`, "\n", " ", "\r", " ")
)

// blanks is what the format calls white space; line ends are not part of it.
const blanks = " \t\f"

func decodeText(text []byte) string {
	if utf8.Valid(text) {
		return strings.TrimPrefix(string(text), "\ufeff")
	}
	runes := make([]rune, len(text))
	for i, b := range text {
		runes[i] = rune(b)
	}
	return string(runes)
}

// splitLines splits at \n, \r and \r\n.
func splitLines(s string) []string {
	s = strings.ReplaceAll(s, "\r\n", "\n")
	return strings.Split(strings.ReplaceAll(s, "\r", "\n"), "\n")
}

// continues reports whether line ends with an odd number of backslashes.
func continues(line string) bool {
	n := len(line) - len(strings.TrimRight(line, `\`))
	return n%2 == 1
}

// splitEntry cuts at the first separator that is not escaped.
func splitEntry(line string) (key, value string) {
	end := len(line)
	for i := 0; i < len(line); i++ {
		if line[i] == '\\' {
			i++
			continue
		}
		if line[i] == '=' || line[i] == ':' || strings.IndexByte(blanks, line[i]) >= 0 {
			end = i
			break
		}
	}
	rest := strings.TrimLeft(line[end:], blanks)
	if rest != "" && (rest[0] == '=' || rest[0] == ':') {
		rest = strings.TrimLeft(rest[1:], blanks)
	}
	return line[:end], rest
}

func unescape(s string) (string, error) {
	if strings.IndexByte(s, '\\') < 0 {
		return s, nil
	}
	var out strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' {
			out.WriteByte(s[i])
			continue
		}
		i++
		if i == len(s) {
			break
		}
		switch s[i] {
		case 't':
			out.WriteByte('\t')
		case 'n':
			out.WriteByte('\n')
		case 'r':
			out.WriteByte('\r')
		case 'f':
			out.WriteByte('\f')
		case 'u':
			unit, ok := hexUnit(s, i+1)
			if !ok {
				return "", fmt.Errorf("%w: \\u needs four hex digits", ErrProperties)
			}
			i += 4
			r := unit
			if utf16.IsSurrogate(unit) {
				r = utf8.RuneError
				if strings.HasPrefix(s[i+1:], `\u`) {
					if low, ok := hexUnit(s, i+3); ok {
						if pair := utf16.DecodeRune(unit, low); pair != utf8.RuneError {
							r = pair
							i += 6
						}
					}
				}
			}
			out.WriteRune(r)
		default:
			out.WriteByte(s[i])
		}
	}
	return out.String(), nil
}

func hexUnit(s string, at int) (rune, bool) {
	if at+4 > len(s) {
		return 0, false
	}
	var r rune
	for _, c := range []byte(s[at : at+4]) {
		switch {
		case c >= '0' && c <= '9':
			r = r<<4 | rune(c-'0')
		case c >= 'a' && c <= 'f':
			r = r<<4 | rune(c-'a'+10)
		case c >= 'A' && c <= 'F':
			r = r<<4 | rune(c-'A'+10)
		default:
			return 0, false
		}
	}
	return r, true
}
