// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// Exported are the exported names that the Go files of a directory declare, tests
// apart: "Name", and for fields and methods "Type.Name".
func Exported(dir string) (map[string]bool, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	all := map[string]bool{}
	add := func(parts ...string) {
		for _, part := range parts {
			if !ast.IsExported(part) {
				return
			}
		}
		all[strings.Join(parts, ".")] = true
	}
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".go") || strings.HasSuffix(e.Name(), "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(dir, e.Name()), nil, parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		for _, decl := range file.Decls {
			switch d := decl.(type) {
			case *ast.FuncDecl:
				if d.Recv == nil {
					add(d.Name.Name)
				} else {
					add(receiver(d.Recv.List[0].Type), d.Name.Name)
				}
			case *ast.GenDecl:
				for _, spec := range d.Specs {
					declared(spec, add)
				}
			}
		}
	}
	return all, nil
}

// receiver is the name of a method's type.
func receiver(e ast.Expr) string {
	for {
		switch t := e.(type) {
		case *ast.StarExpr:
			e = t.X
		case *ast.IndexExpr:
			e = t.X
		case *ast.Ident:
			return t.Name
		default:
			return ""
		}
	}
}

func declared(spec ast.Spec, add func(parts ...string)) {
	switch s := spec.(type) {
	case *ast.ValueSpec:
		for _, name := range s.Names {
			add(name.Name)
		}
	case *ast.TypeSpec:
		add(s.Name.Name)
		var members *ast.FieldList
		switch t := s.Type.(type) {
		case *ast.StructType:
			members = t.Fields
		case *ast.InterfaceType:
			members = t.Methods
		default:
			return
		}
		for _, m := range members.List {
			for _, name := range m.Names {
				add(s.Name.Name, name.Name)
			}
		}
	}
}

// inBackticks finds the names of a table's cell.
var inBackticks = regexp.MustCompile("`([^`]+)`")

// Names are the names in backticks in a column of the tables below a heading of a
// Markdown page, up to the next heading of its level.
func Names(page, heading string, column int) (names []string) {
	level, _, _ := strings.Cut(heading, " ")
	_, rest, _ := strings.Cut(page, "\n"+heading+"\n")
	for line := range strings.Lines(rest) {
		if strings.HasPrefix(line, level+" ") {
			break
		}
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		if !strings.HasPrefix(line, "|") || column >= len(cells) {
			continue
		}
		for _, m := range inBackticks.FindAllStringSubmatch(cells[column], -1) {
			names = append(names, m[1])
		}
	}
	return names
}
