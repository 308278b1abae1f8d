// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

// Package filter compiles the SQL92 expressions of RocketMQ's consumers and
// evaluates them over stored properties.
//
// # Language
//
// Keywords are read in any case, property names are case sensitive.
//
//	or          = and { OR and }
//	and         = equality { AND equality }
//	equality    = comparison { "=" comparison | "<>" comparison | IS [NOT] NULL }
//	comparison  = unary { (">" | ">=" | "<" | "<=") unary
//	                    | [NOT] (CONTAINS | STARTSWITH | ENDSWITH) string
//	                    | [NOT] BETWEEN unary AND unary
//	                    | [NOT] IN "(" string { "," string } ")" }
//	unary       = ("+" | "-" | NOT) unary | primary
//	primary     = string | integer | float | TRUE | FALSE | NULL | property | "(" or ")"
//	string      = "'" { any character but "'" | "''" } "'"
//	integer     = "0" | digit not 0 { digit } [L]
//	float       = digits "." [digits] [exponent] | "." digits [exponent] | digits exponent
//	property    = (letter | "_" | "$") { letter | digit | "_" | "$" }
//	space       = blank, tab, line feed, carriage return, form feed,
//	              "--" to the end of the line, "/*" to "*/"
//
// There is no LIKE, no "!=" and no arithmetic. NOT binds closer than any
// comparison: NOT a = 'x' is (NOT a) = 'x', so write NOT (a = 'x').
// Source: filter/parser/SelectorParser.jj and filter/expression of Apache
// RocketMQ 5.3.3.
//
// # Meaning
//
// A property is a string, or null where the message has none. A string that meets
// a number is read as that number's type: a 32-bit integer for literals that fit
// one, else a 64-bit one, a double for floats; one that meets TRUE or FALSE is
// true when it says so in any case. With <, <=, > and >= two strings are both
// read as doubles. A string that cannot be read ends the evaluation of the whole
// expression, whose value is then Unknown, unless AND or OR knew theirs before
// (they look at the left side first).
//
//   - =: two nulls are equal, null = value is Unknown, value = null is False.
//     a <> b is NOT (a = b).
//   - <, <=, >, >=: Unknown with a null. Strings and booleans that are written in
//     the expression cannot be compared.
//   - IN: Unknown for null. CONTAINS, STARTSWITH, ENDSWITH and their negations:
//     False for null and for an empty search string.
//   - BETWEEN is low <= value AND value <= high; two literals must be in order.
//   - A property alone is False, or Unknown where there is none. Minus makes null
//     of everything but a number.
//   - AND, OR and NOT are those of three-valued logic.
//
// Strings are compared by their bytes: text that is no UTF-8 is equal to itself
// only, where Java reads all of it as U+FFFD.
//
// # What it refuses
//
// Text behind a complete expression, which RocketMQ ignores: a LIKE 'x' is a
// there, and never true. Only a comment may stand at the end without a line's
// end. Expressions beyond MaxLength, MaxDepth or MaxTerms: what compiles takes
// bounded time and stack to evaluate.
//
// The package is pure. A compiled expression is immutable: any number of
// goroutines may use it.
package filter
