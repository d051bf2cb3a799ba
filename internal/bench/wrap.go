package main

import (
	"strings"
	"unicode/utf8"
)

// wrap breaks the paragraphs and the list items of a Markdown text at 100 columns. Tables, headings
// and code stay as they are, and so does what holds together: code within a line, and links.
func wrap(text string) string {
	var out []string
	inCode := false
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		trimmed := strings.TrimSpace(line)
		fence := strings.HasPrefix(trimmed, "```")
		if fence {
			inCode = !inCode
		}
		const width = 100
		if fence || inCode || utf8.RuneCountInString(line) <= width ||
			strings.HasPrefix(trimmed, "|") || strings.HasPrefix(trimmed, "#") ||
			strings.HasPrefix(trimmed, "<") {
			out = append(out, line)
			continue
		}
		indent := line[:len(line)-len(strings.TrimLeft(line, " "))]
		rest := indent
		if strings.HasPrefix(trimmed, "- ") {
			rest += "  "
		}
		now := indent
		for i, word := range unbroken(trimmed) {
			switch {
			case i == 0:
				now += word
			case utf8.RuneCountInString(now)+1+utf8.RuneCountInString(word) > width:
				out, now = append(out, now), rest+word
			default:
				now += " " + word
			}
		}
		out = append(out, now)
	}
	return strings.Join(out, "\n") + "\n"
}

// unbroken are the words of a line. Code and the text of a link are one word each.
func unbroken(line string) []string {
	var words []string
	inCode, inLink, begun := false, false, 0
	for i, r := range line {
		switch {
		case r == '`':
			inCode = !inCode
		case r == '[' && !inCode:
			inLink = true
		case r == ']' && !inCode:
			inLink = false
		case r == ' ' && !inCode && !inLink:
			if i > begun {
				words = append(words, line[begun:i])
			}
			begun = i + 1
		}
	}
	return append(words, line[begun:])
}
