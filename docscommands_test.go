package identity_test

import (
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestDocsCommands: each command line in a document or a doc comment is run by CI or by a test, or
// documentedCommands says why it isn't.
func TestDocsCommands(t *testing.T) {
	t.Parallel()
	const script = "bash .ci/commands"
	if !strings.Contains(readFile(t, ".ci/run"), script) {
		t.Errorf(".ci/run doesn't run %s", script)
	}
	ci := readFile(t, ".ci/run") + strings.ReplaceAll(readFile(t, ".ci/commands"), `"$tmp/whoami"`,
		"/tmp/whoami")
	used := make([]bool, len(documentedCommands))
	all := documented(t)
	if len(all) < 80 {
		t.Errorf("found %d command lines, there are more", len(all))
	}
	for _, c := range all {
		known := false
		for i, rule := range documentedCommands {
			if regexp.MustCompile(`^(?:` + rule.line + `)$`).MatchString(c.line) {
				known, used[i] = true, true
			}
		}
		if !known {
			t.Errorf("%s: nothing is known to run\n\t%s\nrun it in .ci/commands, .ci/run or a test, and "+
				"add it to documentedCommands, or add it there with the reason why nothing can run it",
				c.at, c.line)
		}
	}
	for i, rule := range documentedCommands {
		switch {
		case !used[i]:
			t.Errorf("no document has %s: take it out of documentedCommands", rule.line)
		case rule.ci != "" && !strings.Contains(ci, rule.ci):
			t.Errorf("%s: neither .ci/run nor .ci/commands has %s", rule.line, rule.ci)
		case rule.test != "":
			file, name, _ := strings.Cut(rule.test, " ")
			if !strings.Contains(readFile(t, file), "func "+name+"(") {
				t.Errorf("%s: %s has no %s", rule.line, file, name)
			}
		case rule.ci == "" && rule.why == "":
			t.Errorf("%s: is it run by CI or a test, or why not?", rule.line)
		}
	}
}

// TestDocsCommandsMake: make knows the targets that the documents name.
func TestDocsCommandsMake(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("make"); err != nil {
		t.Skip(err)
	}
	for _, c := range documented(t) {
		if arguments, ok := strings.CutPrefix(c.line, "make "); ok {
			out, err := exec.Command("make", append([]string{"-n"},
				strings.Fields(arguments)...)...).CombinedOutput()
			if err != nil {
				t.Errorf("%s: %s: %v\n%s", c.at, c.line, err, out)
			}
		}
	}
}

// TestDocsCommandsNames: a test that go test -run names in a document is there.
func TestDocsCommandsNames(t *testing.T) {
	t.Parallel()
	pattern := regexp.MustCompile(`\bgo test .*-run '?\^?([A-Z][\w|]+)`)
	var tests []string
	for _, name := range sources(t) {
		for _, m := range regexp.MustCompile(`(?m)^func (Test\w+)\(`).FindAllStringSubmatch(
			readFile(t, name), -1) {
			tests = append(tests, m[1])
		}
	}
	for _, c := range documented(t) {
		m := pattern.FindStringSubmatch(c.line)
		if m == nil || m[1] == "TestName" { // a placeholder
			continue
		}
		for _, want := range strings.Split(m[1], "|") {
			if !slices.ContainsFunc(tests, func(name string) bool {
				return strings.Contains(name, want)
			}) {
				t.Errorf("%s: no test is called %s: %s", c.at, want, c.line)
			}
		}
	}
}

// documentedCommand is a command line that a document or a doc comment has.
type documentedCommand struct{ at, line string }

// documented are all of them, but for those in testdata.
func documented(t *testing.T) (all []documentedCommand) {
	t.Helper()
	walk(t, ".", func(name string) {
		name = filepath.ToSlash(name)
		switch {
		case strings.Contains(name, "testdata/"):
		case filepath.Ext(name) == ".md":
			all = append(all, commandsInMarkdown(name, readFile(t, name))...)
		case filepath.Ext(name) == ".go":
			all = append(all, commandsInGo(name, readFile(t, name))...)
		}
	}, isForeign)
	return all
}

var (
	// program begins a command line in running text, with variables before it or not. A go statement
	// begins like a go command.
	program = regexp.MustCompile(`^(?:\w+=\S+ )*(?:go (?:-C \S+ )?(?:build|clean|doc|env|get|` +
		`install|list|mod|run|test|tool|version|vet|work)\b|` +
		`(?:bash|make|npm|npx|git|curl|az|azd|kubectl|docker|sudo|systemctl|azcmagent|tcpdump|` +
		`ss|which|helm|promtool|jq|\.) \S)`)
	inlineCode = regexp.MustCompile("`([^`]+)`")
	shellFence = regexp.MustCompile("^```(?:sh|bash|console|shell)$")
	remark     = regexp.MustCompile(`\s+#\s.*$|\s{3,}.*$`) // behind a command
)

// commandsInMarkdown are the lines of a page's shell blocks, and the commands in its text.
func commandsInMarkdown(name, text string) (found []documentedCommand) {
	block, shell, begun, open := false, false, "", ""
	for number, line := range strings.Split(text, "\n") {
		at, line := name+":"+strconv.Itoa(number+1), strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, "```"):
			block, shell = !block, !block && shellFence.MatchString(line)
		case shell && strings.HasSuffix(line, `\`): // it goes on in the next line
			begun += strings.TrimSuffix(line, `\`)
		case shell:
			line, begun = remark.ReplaceAllString(begun+line, ""), ""
			if line != "" && !strings.HasPrefix(line, "#") {
				found = append(found, documentedCommand{at, line})
			}
		case !block && line == "":
			open = ""
		case !block:
			if open += " " + line; strings.Count(open, "`")%2 == 1 {
				continue // code that ends in the next line
			}
			for _, m := range inlineCode.FindAllStringSubmatch(open, -1) {
				if program.MatchString(m[1]) {
					found = append(found, documentedCommand{at, m[1]})
				}
			}
			open = ""
		}
	}
	return found
}

// commandsInGo are the commands that stand in a file's comments as a block.
func commandsInGo(name, text string) (found []documentedCommand) {
	for number, line := range strings.Split(text, "\n") {
		comment, ok := strings.CutPrefix(strings.TrimSpace(line), "//\t")
		if ok && program.MatchString(comment) {
			found = append(found, documentedCommand{name + ":" + strconv.Itoa(number+1),
				remark.ReplaceAllString(comment, "")})
		}
	}
	return found
}
