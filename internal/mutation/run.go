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
	binary  string            // its tests
	numbers map[string]string // by the mutations' names, of those that are in the binary

	wholePasses bool // all of the tests pass without a mutant
}

// limit of time for one run. The root package's tests take half a minute; those that ought to notice take seconds.
const limit = 10 * time.Minute

// culture builds a package's tests with as many mutants in it as can be. It is an error if the tests that ought to notice them
// fail without any.
func (l *laboratory) culture(ctx context.Context, dir string, mutations []mutation) (*culture, error) {
	c := &culture{laboratory: l, dir: dir, binary: filepath.Join(l.scratch, "many.test.exe"), numbers: map[string]string{}}
	byFile := map[string][]numbered{}
	var tests []string
	for i, m := range mutations {
		if _, err := m.apply(l.root); err != nil {
			return nil, err
		}
		byFile[m.file] = append(byFile[m.file], numbered{m, strconv.Itoa(i + 1)})
		tests = append(tests, m.tests)
	}
	texts := map[string]string{}
	for file, inFile := range byFile {
		text, err := os.ReadFile(filepath.Join(l.root, filepath.FromSlash(file)))
		if err != nil {
			return nil, err
		}
		combined, rest, err := combine(string(text), inFile)
		if err != nil {
			return nil, err
		}
		texts[file] = combined
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
	texts[dir+"/mutant_chosen.go"] = chooser(name)
	complaint, err := l.build(ctx, dir, c.binary, texts)
	switch {
	case err != nil:
		return nil, err
	case complaint != "":
		return nil, fmt.Errorf("with all mutants %s does not compile: %s", dir, complaint)
	}
	return c, c.passes(ctx, "^("+strings.Join(tests, "|")+")$")
}

// passes is an error if tests fail without a mutant: a failure with one would say nothing.
func (c *culture) passes(ctx context.Context, which string) error {
	r, err := c.test(ctx, c.dir, c.binary, "", which)
	if err == nil && r.verdict != survived {
		err = fmt.Errorf("the tests of %s fail without any mutation: %v\n%s", c.dir, r, r.output)
	}
	return err
}

// examine tests one mutant.
func (c *culture) examine(ctx context.Context, m mutation) (result, error) {
	binary, number := c.binary, c.numbers[m.name]
	if number == "" {
		text, err := m.apply(c.root)
		if err != nil {
			return result{}, err
		}
		binary = filepath.Join(c.scratch, "one.test.exe")
		complaint, err := c.build(ctx, c.dir, binary, map[string]string{m.file: text})
		switch {
		case err != nil:
			return result{}, err
		case complaint != "":
			return result{verdict: notCompiled, output: complaint}, nil
		}
	}
	r, err := c.test(ctx, c.dir, binary, number, "^("+m.tests+")$")
	if err != nil || r.verdict != survived {
		return r, err
	}
	if !c.wholePasses {
		if err := c.passes(ctx, "."); err != nil {
			return result{}, err
		}
		c.wholePasses = true
	}
	return c.test(ctx, c.dir, binary, number, ".")
}

// build makes a package's test binary with other texts in the place of some files'. The complaint is the compiler's.
func (l *laboratory) build(ctx context.Context, dir, binary string, texts map[string]string) (complaint string, err error) {
	overlay := struct{ Replace map[string]string }{map[string]string{}}
	for file, text := range texts {
		path := filepath.Join(l.root, filepath.FromSlash(file))
		overlay.Replace[path] = filepath.Join(l.scratch, filepath.Base(path))
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
	cmd := exec.CommandContext(ctx, binary, "-test.run", which, "-test.failfast", "-test.timeout", limit.String())
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
