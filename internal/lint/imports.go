// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package lint

import (
	"go/ast"
	"path"
	"slices"
	"strconv"
	"strings"
)

func (c *checker) checkImports(dir string, from *row, file string, f *ast.File) {
	for _, spec := range f.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			continue // the parser has accepted it: cannot be
		}
		where := c.at(file, spec.Pos())
		if spec.Name != nil && spec.Name.Name == "." {
			c.problem(where, "a dot import of %s: nobody sees what comes from it", imported)
		}
		if from.pure && imported != "net/netip" && underAny(imported, impureImports) {
			c.problem(where, "%s is pure and may not import %s", dir, imported)
		}
		switch ours, ok := strings.CutPrefix(imported, c.module+"/"); {
		case ok:
			if why := c.refuse(from, ours); why != "" {
				c.problem(where, "%s may not import %s: %s", dir, ours, why)
			}
		case imported == c.module:
			c.problem(where, "%s may not import %s: the root of the module is no package", dir, imported)
		case from.thirdParty != nil && thirdParty(imported) && !underAny(imported, from.thirdParty):
			c.problem(where, "%s may not import %s: its row lists the modules of others that it may", dir, imported)
		}
	}
}

// refuse says why a package may not import another of ours, "" when it may.
func (c *checker) refuse(from *row, imported string) string {
	to := rowOf(imported)
	switch {
	case to == nil:
		return "it has no row in internal/lint/table.go"
	case underAny(imported, from.never) && !slices.Contains(from.also, imported):
		return "its row says never"
	case from.forTests:
		return ""
	case to.forTests:
		return "that package is for tests"
	case to.layer < from.layer:
		return ""
	case to.layer > from.layer:
		return "that is a higher layer (" + strconv.Itoa(to.layer) + ", it is on " + strconv.Itoa(from.layer) + ")"
	case slices.Contains(from.also, imported) || slices.Contains(from.also, to.path) && to.path == path.Dir(imported)+"/*":
		return ""
	}
	return "they are on the same layer (" + strconv.Itoa(to.layer) + "), and its row does not name it"
}

// checkCalls looks for goroutines and clocks.
func (c *checker) checkCalls(from *row, file string, f *ast.File) {
	mayStart := from.goroutines != "" && !from.pure
	usesGroup := !from.pure && imports(f, c.module+"/internal/lifecycle") != ""
	clock := imports(f, "time")
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt:
			if !mayStart {
				c.problem(c.at(file, n.Pos()), "a goroutine: use internal/lifecycle, or say in the package's row why it starts its own")
			}
		case *ast.CallExpr:
			if sel, ok := n.Fun.(*ast.SelectorExpr); ok && sel.Sel.Name == "Go" && !mayStart && !usesGroup {
				c.problem(c.at(file, n.Pos()), "a goroutine (a call of Go without internal/lifecycle): use that, or say in the package's row why it starts its own")
			}
		case *ast.SelectorExpr:
			pkg, ok := n.X.(*ast.Ident)
			if ok && from.pure && clock != "" && pkg.Name == clock && clockFunctions[n.Sel.Name] {
				c.problem(c.at(file, n.Pos()), "the package is pure and may not use time.%s", n.Sel.Name)
			}
		}
		return true
	})
}

// imports returns the name under which f imports a package, "" when it does
// not.
func imports(f *ast.File, imported string) string {
	for _, spec := range f.Imports {
		if spec.Path.Value != strconv.Quote(imported) {
			continue
		}
		if spec.Name != nil {
			return spec.Name.Name
		}
		return path.Base(imported)
	}
	return ""
}

// underAny reports whether p is one of roots or below one.
func underAny(p string, roots []string) bool {
	return slices.ContainsFunc(roots, func(root string) bool {
		return p == root || strings.HasPrefix(p, root+"/")
	})
}

// thirdParty reports whether an import path is outside of the standard
// library: its first element has a dot.
func thirdParty(imported string) bool {
	first, _, _ := strings.Cut(imported, "/")
	return strings.Contains(first, ".")
}
