package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// laboratory tests mutants.
type laboratory struct {
	root    string // of the repository
	scratch string // a directory for what is built
	isolate bool   // test without the machine's network
	self    string // this program
}

// culture is a package with many mutants in it.
type culture struct {
	*laboratory
	dir     string
	texts   map[string]string // of its files, with the mutants
	numbers map[string]string // by the mutations' names, of those that are in texts
	tests   string            // an expression for all that ought to notice one
	suites  []*suite
}

// suite is the tests of one package that may notice a mutant: those of the mutant's own package,
// which are quick, and those of the root, which go through all packages.
type suite struct {
	dir         string
	binary      string // with the many mutants; "" until it is built
	wholePasses bool   // all of the tests pass without a mutant
}

// limit of time for one run. The root package's tests take half a minute; those that ought to
// notice take seconds.
const limit = 10 * time.Minute

// culture prepares a package with as many mutants in it as can be. It is an error if the tests that
// ought to notice them fail without any.
func (l *laboratory) culture(
	ctx context.Context, dir string, mutations []mutation,
) (*culture, error) {
	c := &culture{laboratory: l, dir: dir, texts: map[string]string{}, numbers: map[string]string{}}
	byFile := map[string][]numbered{}
	var tests []string
	for i, m := range mutations {
		if _, err := m.apply(l.root); err != nil {
			return nil, err
		}
		byFile[m.file] = append(byFile[m.file], numbered{m, strconv.Itoa(i + 1)})
		tests = append(tests, m.tests)
	}
	c.tests = "^(" + strings.Join(tests, "|") + ")$"
	for file, inFile := range byFile {
		text, err := os.ReadFile(filepath.Join(l.root, filepath.FromSlash(file)))
		if err != nil {
			return nil, err
		}
		combined, rest, err := combine(string(text), inFile)
		if err != nil {
			return nil, err
		}
		c.texts[file] = combined
		for _, m := range inFile {
			if !slices.Contains(rest, m) {
				c.numbers[m.name] = m.number
			}
		}
	}
	name, err := packageName(l.root, mutations[0].file)
	if err != nil {
		return nil, err
	}
	c.texts[dir+"/mutant_chosen.go"] = chooser(name)
	for _, d := range testedIn(dir) {
		found, err := filepath.Glob(filepath.Join(l.root, filepath.FromSlash(d), "*_test.go"))
		if err != nil {
			return nil, err
		}
		if len(found) > 0 {
			c.suites = append(c.suites, &suite{dir: d})
		}
	}
	if len(c.suites) == 0 {
		return nil, fmt.Errorf("neither %s nor the root has tests", dir)
	}
	return c, c.ready(ctx, c.suites[0])
}

// testedIn are the folders of the tests that may notice a mutant in dir.
func testedIn(dir string) []string {
	if dir == "." {
		return []string{"."}
	}
	return []string{dir, "."}
}

// ready builds a suite's tests, unless it has been done.
func (c *culture) ready(ctx context.Context, s *suite) error {
	if s.binary != "" {
		return nil
	}
	binary := filepath.Join(c.scratch, "many"+strconv.Itoa(slices.Index(c.suites, s))+".test.exe")
	complaint, err := c.build(ctx, s.dir, binary, c.texts)
	switch {
	case err != nil:
		return err
	case complaint != "":
		return fmt.Errorf("with all mutants %s does not compile: %s", c.dir, complaint)
	}
	s.binary = binary
	return c.passes(ctx, s, c.tests)
}

// passes is an error if tests fail without a mutant: a failure with one would say nothing.
func (c *culture) passes(ctx context.Context, s *suite, which string) error {
	r, err := c.test(ctx, s.dir, s.binary, "", which)
	if err == nil && r.verdict != survived {
		err = fmt.Errorf("the tests of %s fail without any mutation: %v\n%s", s.dir, r, r.output)
	}
	return err
}

// examine tests one mutant: by the tests that ought to notice, in its own package and then in the
// root, and if none does, by all tests of the two.
func (c *culture) examine(ctx context.Context, m mutation) (result, error) {
	var r result
	for _, whole := range []bool{false, true} {
		for _, s := range c.suites {
			var err error
			if r, err = c.examineBy(ctx, s, m, whole); err != nil || r.verdict != survived {
				return r, err
			}
		}
	}
	return r, nil
}

// examineBy tests a mutant by one suite, the whole of it or what ought to notice.
func (c *culture) examineBy(ctx context.Context, s *suite, m mutation, whole bool) (result, error) {
	if err := c.ready(ctx, s); err != nil {
		return result{}, err
	}
	if whole && !s.wholePasses {
		if err := c.passes(ctx, s, "."); err != nil {
			return result{}, err
		}
		s.wholePasses = true
	}
	binary, number := s.binary, c.numbers[m.name]
	if number == "" {
		text, err := m.apply(c.root)
		if err != nil {
			return result{}, err
		}
		binary = filepath.Join(c.scratch, "one.test.exe")
		complaint, err := c.build(ctx, s.dir, binary, map[string]string{m.file: text})
		switch {
		case err != nil:
			return result{}, err
		case complaint != "":
			return result{verdict: notCompiled, output: complaint}, nil
		}
	}
	which := "^(" + m.tests + ")$"
	if whole {
		which = "."
	}
	return c.test(ctx, s.dir, binary, number, which)
}

// build makes a package's test binary with other texts in the place of some files'. The complaint
// is the compiler's.
func (l *laboratory) build(
	ctx context.Context, dir, binary string, texts map[string]string,
) (complaint string, err error) {
	overlay := struct{ Replace map[string]string }{map[string]string{}}
	for file, text := range texts {
		path := filepath.Join(l.root, filepath.FromSlash(file))
		// Files in two folders can have one name.
		overlay.Replace[path] = filepath.Join(l.scratch, strings.ReplaceAll(file, "/", "+"))
		if err := os.WriteFile(overlay.Replace[path], []byte(text), 0o600); err != nil {
			return "", err
		}
	}
	list, err := json.Marshal(overlay)
	if err != nil {
		return "", err
	}
	overlays := filepath.Join(l.scratch, "overlay.json")
	if err := os.WriteFile(overlays, list, 0o600); err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, "go", "test", "-c", "-overlay", overlays, "-o", binary, "./"+dir)
	cmd.Dir = l.root
	out, err := cmd.CombinedOutput()
	if _, failed := errors.AsType[*exec.ExitError](err); failed && ctx.Err() == nil {
		return tail(string(out)), nil
	}
	return "", err
}

// test runs some of the tests, until the first of them fails.
func (l *laboratory) test(ctx context.Context, dir, binary, number, which string) (result, error) {
	if err := os.WriteFile(binary+chosen, []byte(number), 0o600); err != nil {
		return result{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, limit+time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, "-test.run", which, "-test.failfast", "-test.timeout",
		limit.String())
	cmd.Dir = filepath.Join(l.root, filepath.FromSlash(dir))
	cmd.WaitDelay = time.Second // a child of the tests may hold its output open
	if l.isolate {
		if err := isolated(cmd, l.self); err != nil {
			return result{}, err
		}
	}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	_, failed := errors.AsType[*exec.ExitError](err)
	if err != nil && !failed && !errors.Is(err, exec.ErrWaitDelay) && ctx.Err() == nil {
		return result{}, err
	}
	return judge(out.String(), err == nil), nil
}

// packageName is what the package of a file is called.
func packageName(root, file string) (string, error) {
	text, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(file)))
	if err != nil {
		return "", err
	}
	found := packageClause.FindSubmatch(text)
	if found == nil {
		return "", fmt.Errorf("%s has no package clause", file)
	}
	return string(found[1]), nil
}

var packageClause = regexp.MustCompile(`(?m)^package (\w+)`)
