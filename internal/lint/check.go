// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package lint

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// Report is what Check found in a module.
type Report struct {
	Packages []string // the packages that were read, below the module's path, sorted
	Problems []string // "file:line: what is wrong", or "directory: ..."; sorted
}

// Check reads the module in the directory root and holds it against the table.
// An error means that a file could not be read or parsed, not that a rule is
// broken.
func Check(root string) (*Report, error) {
	module, err := modulePath(filepath.Join(root, "go.mod"))
	if err != nil {
		return nil, err
	}
	c := &checker{root: root, module: module, fset: token.NewFileSet(), report: new(Report)}
	files, err := goFiles(root)
	if err != nil {
		return nil, err
	}
	packages := make(map[string][]string)
	for _, file := range files {
		dir := path.Dir(file)
		packages[dir] = append(packages[dir], file)
	}
	for dir, files := range packages {
		if err := c.checkPackage(dir, files); err != nil {
			return nil, err
		}
		c.report.Packages = append(c.report.Packages, dir)
	}
	slices.Sort(c.report.Packages)
	slices.Sort(c.report.Problems)
	return c.report, nil
}

var moduleLine = regexp.MustCompile(`(?m)^module\s+(\S+)\s*$`)

func modulePath(gomod string) (string, error) {
	data, err := os.ReadFile(gomod)
	if err != nil {
		return "", err
	}
	match := moduleLine.FindSubmatch(data)
	if match == nil {
		return "", fmt.Errorf("%s: no module line", gomod)
	}
	return string(match[1]), nil
}

// goFiles lists the Go files of the module, with slashes and below root.
func goFiles(root string) ([]string, error) {
	var files []string
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		base := d.Name()
		if !d.IsDir() {
			if strings.HasSuffix(base, ".go") {
				rel, err := filepath.Rel(root, name)
				if err != nil {
					return err
				}
				files = append(files, filepath.ToSlash(rel))
			}
			return nil
		}
		if name == root {
			return nil
		}
		if base == "testdata" || base == "vendor" || strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_") {
			return filepath.SkipDir
		}
		if _, err := os.Stat(filepath.Join(name, "go.mod")); err == nil {
			return filepath.SkipDir // another module
		}
		return nil
	})
	return files, err
}

type checker struct {
	root   string
	module string
	fset   *token.FileSet
	report *Report
}

func (c *checker) problem(where, format string, args ...any) {
	c.report.Problems = append(c.report.Problems, where+": "+fmt.Sprintf(format, args...))
}

// at names a position by the file below root and the line.
func (c *checker) at(file string, pos token.Pos) string {
	return file + ":" + strconv.Itoa(c.fset.Position(pos).Line)
}

func (c *checker) checkPackage(dir string, files []string) error {
	row := rowOf(dir)
	if row == nil {
		c.problem(dir, "the package has no row in internal/lint/table.go: add one that says its layer")
	}
	code, documented := false, false
	for _, file := range files {
		data, err := os.ReadFile(filepath.Join(c.root, filepath.FromSlash(file)))
		if err != nil {
			return err
		}
		parsed, err := parser.ParseFile(c.fset, file, data, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		if !licensed.Match(data) {
			c.problem(file+":1", "the file does not begin with the copyright line, the SPDX line and a blank line")
		}
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		code = true
		if path.Base(file) == "doc.go" && strings.HasPrefix(parsed.Doc.Text(), docStart(parsed.Name.Name, dir)) {
			documented = true
		}
		c.checkNames(file, parsed)
		if row != nil {
			c.checkImports(dir, row, file, parsed)
			c.checkCalls(row, file, parsed)
		}
	}
	if code && !documented {
		c.problem(dir, "no doc.go with a package comment that begins as Go's do")
	}
	return nil
}

var licensed = regexp.MustCompile(`\A// Copyright 20\d\d The Twostage Authors\n// SPDX-License-Identifier: Apache-2\.0\n\n`)

func docStart(pkg, dir string) string {
	if pkg == "main" {
		return "Command " + path.Base(dir) + " "
	}
	return "Package " + pkg + " "
}

func (c *checker) checkNames(file string, f *ast.File) {
	if word := emptyWord(f.Name.Name); word != "" {
		c.problem(c.at(file, f.Name.Pos()), "package name %s: %q says nothing", f.Name.Name, word)
	}
	for _, decl := range f.Decls {
		types, ok := decl.(*ast.GenDecl)
		if !ok || types.Tok != token.TYPE {
			continue
		}
		for _, spec := range types.Specs {
			name := spec.(*ast.TypeSpec).Name
			if word := emptyWord(name.Name); word != "" && name.IsExported() {
				c.problem(c.at(file, name.Pos()), "type %s: %q says nothing", name.Name, word)
			}
		}
	}
}

// emptyWord returns the first word of a name that is in emptyWords.
func emptyWord(name string) string {
	runes := []rune(name)
	start := 0
	for i := range runes {
		// A word ends before an upper case letter that follows or precedes a
		// lower case one, at an underscore, and at the end.
		last := i+1 == len(runes)
		if last || runes[i+1] == '_' || unicode.IsUpper(runes[i+1]) && (unicode.IsLower(runes[i]) || i+2 < len(runes) && unicode.IsLower(runes[i+2])) {
			word := strings.ToLower(strings.Trim(string(runes[start:i+1]), "_"))
			if emptyWords[word] {
				return word
			}
			start = i + 1
		}
	}
	return ""
}
