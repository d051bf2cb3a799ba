// Package snippets has the lines of Go that the README and the pages of docs show and that no other
// example has, to the letter, so that they are compiled. A test of the repository compares.
package snippets
