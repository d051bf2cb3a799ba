package arckey

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const (
	linuxKeys   = "/var/opt/azcmagent/tokens"
	windowsKeys = `C:\ProgramData\AzureConnectedMachineAgent\Tokens`
)

func TestDirectory(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, goos, programData, want, wantError string }{
		{"Linux", "linux", "", linuxKeys, ""},
		{"Linux, whatever is set", "linux", `C:\ProgramData`, linuxKeys, ""},
		{"Windows", "windows", `C:\ProgramData`, windowsKeys, ""},
		{"Windows, a backslash at the end", "windows", `C:\ProgramData\`, windowsKeys, ""},
		{"Windows, slashes", "windows", `C:/ProgramData/`,
			`C:/ProgramData\AzureConnectedMachineAgent\Tokens`, ""},
		{"Windows, another drive", "windows", `D:\Data`, `D:\Data\AzureConnectedMachineAgent\Tokens`, ""},
		{"Windows, the root", "windows", `D:\`, `D:\AzureConnectedMachineAgent\Tokens`, ""},
		{"Windows, empty", "windows", "", "", "ProgramData: is empty"},
		{"macOS", "darwin", `C:\ProgramData`, "", "not on darwin"},
		{"no system", "", "", "", "Linux and Windows"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := Directory(tt.goos, func(string) string { return tt.programData })
			if got != tt.want || (err == nil) != (tt.wantError == "") {
				t.Errorf("got %q, %v, want %q, error %q", got, err, tt.want, tt.wantError)
			}
			if tt.wantError != "" {
				wantWordsIn(t, err, "identity: ", tt.wantError)
			}
		})
	}
}

func TestPathOnLinux(t *testing.T) {
	t.Parallel()
	const (
		elsewhere = "it is not in " + linuxKeys
		noKey     = "does not end in .key"
		control   = "control character"
	)
	for _, tt := range []struct{ name, path, want string }{ // want "" lets it pass
		{"a key", linuxKeys + "/5ba03fd4-1ba4-4f1b-9e4c-6d5e9a2f6a7e.key", ""},
		{"one character", linuxKeys + "/x.key", ""},
		{"hidden", linuxKeys + "/.x.key", ""},
		{"dots in the name", linuxKeys + "/a..b.key", ""},
		{"a blank in the name", linuxKeys + "/a b.key", ""},
		{"a backslash in the name, which is no separator", linuxKeys + `/a\b.key`, ""},

		{"empty", "", elsewhere},
		{"the directory", linuxKeys, elsewhere},
		{"the directory with a slash", linuxKeys + "/", noKey},
		{"root", "/x.key", elsewhere},
		{"another directory", "/etc/ssl/private/x.key", elsewhere},
		{"the directory above", "/var/opt/azcmagent/x.key", elsewhere},
		{"a directory below", linuxKeys + "/a/x.key", elsewhere},
		{"a directory that begins like it", linuxKeys + "2/x.key", elsewhere},
		{"a directory that ends like it", "/tmp" + linuxKeys + "/x.key", elsewhere},
		{"dot-dot out of it", linuxKeys + "/../x.key", elsewhere},
		{"dot-dot far out of it", linuxKeys + "/../../../../etc/x.key", elsewhere},
		{"dot-dot and back into it", linuxKeys + "/../tokens/x.key", elsewhere},
		{"a dot", linuxKeys + "/./x.key", elsewhere},
		{"two slashes", linuxKeys + "//x.key", elsewhere},
		{"two slashes in front", "/" + linuxKeys + "/x.key", elsewhere},
		{"relative", "x.key", elsewhere},
		{"relative with a directory", linuxKeys[1:] + "/x.key", elsewhere},
		{"relative with a dot", "./x.key", elsewhere},
		{"home", "~/x.key", elsewhere},
		{"URL", "file://" + linuxKeys + "/x.key", elsewhere},
		{"another case", "/var/opt/azcmagent/Tokens/x.key", elsewhere},
		{"backslashes", `\var\opt\azcmagent\tokens\x.key`, elsewhere},
		{"a quote", `"` + linuxKeys + "/x.key", elsewhere},
		{"a blank in front", " " + linuxKeys + "/x.key", elsewhere},
		{"Windows' path", windowsKeys + `\x.key`, elsewhere},
		{"escaped slash", linuxKeys + "%2Fx.key", elsewhere},

		{"no extension", linuxKeys + "/x", noKey},
		{"another extension", linuxKeys + "/x.pem", noKey},
		{".key alone", linuxKeys + "/.key", noKey},
		{"upper case", linuxKeys + "/x.KEY", noKey},
		{"no dot", linuxKeys + "/xkey", noKey},
		{"something behind it", linuxKeys + "/x.key.bak", noKey},
		{"a blank behind it", linuxKeys + "/x.key ", noKey},
		{"a dot behind it", linuxKeys + "/x.key.", noKey},
		{"a quote behind it", linuxKeys + `/x.key"`, noKey},
		{"a slash behind it", linuxKeys + "/x.key/", elsewhere},
		{"dot-dot as the name", linuxKeys + "/..", noKey},
		{"letters like them", linuxKeys + "/x.\u212aey", noKey}, // Kelvin's sign

		{"NUL before .key", linuxKeys + "/passwd\x00.key", control},
		{"NUL behind .key", linuxKeys + "/x.key\x00", control},
		{"NUL in the directory", "/etc/passwd\x00" + linuxKeys + "/x.key", control},
		{"line feed", linuxKeys + "/x\n.key", control},
		{"line feed behind it", linuxKeys + "/x.key\n", control},
		{"carriage return", linuxKeys + "/x\r.key", control},
		{"tab", linuxKeys + "/x\t.key", control},
		{"escape", linuxKeys + "/x\x1b[2J.key", control},
		{"DEL", linuxKeys + "/x\x7f.key", control},
		{"a control character of Unicode", linuxKeys + "/x\u0085.key", control},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			checkRefusedPath(t, checkPath(tt.path, linuxKeys, "linux"), tt.path, linuxKeys, tt.want)
		})
	}
}

// wantWordsIn checks that there is an error, and that it has all of want in it.
func wantWordsIn(tb testing.TB, err error, want ...string) {
	tb.Helper()
	if err == nil {
		tb.Errorf("no error, want one with %q", want)
		return
	}
	for _, w := range want {
		if !strings.Contains(err.Error(), w) {
			tb.Errorf("error is %q, want %q in it", err, w)
		}
	}
}

// checkRefusedPath: the path is the other side's text and not repeated.
func checkRefusedPath(t *testing.T, err error, path, directory, want string) {
	t.Helper()
	switch {
	case want == "" && err != nil:
		t.Errorf("%q is refused: %v", path, err)
	case want != "" && err == nil:
		t.Errorf("%q passes, want an error with %q", path, want)
	case want != "":
		wantWordsIn(t, err, "was not read", want)
		if len(path) > 8 && strings.Contains(err.Error(), path) && path != directory {
			t.Errorf("error repeats the path: %v", err)
		}
	}
}

func TestPathOnWindows(t *testing.T) {
	t.Parallel()
	const (
		elsewhere = "it is not in " + windowsKeys
		noKey     = "does not end in .key"
		control   = "control character"
		noName    = "no file name"
	)
	for _, tt := range []struct{ name, path, want string }{
		{"a key", windowsKeys + `\5ba03fd4-1ba4-4f1b-9e4c-6d5e9a2f6a7e.key`, ""},
		{"one character", windowsKeys + `\x.key`, ""},
		{"slashes", `C:/ProgramData/AzureConnectedMachineAgent/Tokens/x.key`, ""},
		{"both", `C:\ProgramData/AzureConnectedMachineAgent\Tokens/x.key`, ""},
		{"another case", `c:\programdata\azureconnectedmachineagent\TOKENS\X.key`, ""},
		{"lower case, as the agent's documentation has it",
			`C:\ProgramData\AzureConnectedMachineAgent\tokens\x.key`, ""},
		{"a short name", windowsKeys + `\ABCDEF~1.key`, ""},
		{"a blank in the name", windowsKeys + `\a b.key`, ""},

		{"empty", "", elsewhere},
		{"the directory", windowsKeys, elsewhere},
		{"the directory with a backslash", windowsKeys + `\`, noKey},
		{"another directory", `C:\Windows\System32\x.key`, elsewhere},
		{"the directory above", `C:\ProgramData\AzureConnectedMachineAgent\x.key`, elsewhere},
		{"a directory below", windowsKeys + `\a\x.key`, elsewhere},
		{"a directory below, by a slash", windowsKeys + `\a/x.key`, elsewhere},
		{"a directory that begins like it", windowsKeys + `2\x.key`, elsewhere},
		{"a directory with a dot behind it", windowsKeys + `.\x.key`, elsewhere},
		{"a directory with a blank behind it", windowsKeys + ` \x.key`, elsewhere},
		{"dot-dot out of it", windowsKeys + `\..\x.key`, elsewhere},
		{"dot-dot by slashes", windowsKeys + `/../x.key`, elsewhere},
		{"dot-dot and back into it", windowsKeys + `\..\Tokens\x.key`, elsewhere},
		{"a dot", windowsKeys + `\.\x.key`, elsewhere},
		{"two backslashes", windowsKeys + `\\x.key`, elsewhere},
		{"relative", `x.key`, elsewhere},
		{"relative to the drive", `C:x.key`, elsewhere},
		{"relative to the drive, with directories",
			`C:ProgramData\AzureConnectedMachineAgent\Tokens\x.key`, elsewhere},
		{"relative to the current drive", `\ProgramData\AzureConnectedMachineAgent\Tokens\x.key`,
			elsewhere},
		{"another drive", `D:\ProgramData\AzureConnectedMachineAgent\Tokens\x.key`, elsewhere},
		{"UNC", `\\attacker\share\x.key`, elsewhere},
		{"UNC that ends like it", `\\attacker\C$\ProgramData\AzureConnectedMachineAgent\Tokens\x.key`,
			elsewhere},
		{"UNC by slashes", `//attacker/share/x.key`, elsewhere},
		{"UNC with the whole path", `\\attacker\` + windowsKeys + `\x.key`, elsewhere},
		{"device path", `\\?\` + windowsKeys + `\x.key`, elsewhere},
		{"another device path", `\\.\` + windowsKeys + `\x.key`, elsewhere},
		{"the object manager's path", `\??\` + windowsKeys + `\x.key`, elsewhere},
		{"pipe", `\\.\pipe\x.key`, elsewhere},
		{"short directory names", `C:\PROGRA~3\AZUREC~1\Tokens\x.key`, elsewhere},
		{"a variable", `%ProgramData%\AzureConnectedMachineAgent\Tokens\x.key`, elsewhere},
		{"URL", `file:///C:/ProgramData/AzureConnectedMachineAgent/Tokens/x.key`, elsewhere},
		{"Linux's path", linuxKeys + "/x.key", elsewhere},
		{"a stream of the directory", windowsKeys + `:x.key`, elsewhere},
		{"the directory's index", windowsKeys + `::$INDEX_ALLOCATION\x.key`, elsewhere},
		// Windows compares names by its own table, in which these two are other letters: a directory of
		// that name is another one, which anybody may make where the parent is not protected.
		{"Kelvin's sign for k", "C:\\ProgramData\\AzureConnectedMachineAgent\\To\u212aens\\x.key",
			elsewhere},
		{"the long s for s", "C:\\ProgramData\\AzureConnectedMachineAgent\\Token\u017f\\x.key",
			elsewhere},

		{"no extension", windowsKeys + `\x`, noKey},
		{"another extension", windowsKeys + `\x.pem`, noKey},
		{".key alone", windowsKeys + `\.key`, noKey},
		{"upper case", windowsKeys + `\x.KEY`, noKey},
		// Windows drops it: the same file by another name
		{"a blank behind it", windowsKeys + `\x.key `, noKey},
		{"a dot behind it", windowsKeys + `\x.key.`, noKey},
		{"the unnamed stream", windowsKeys + `\x.key::$DATA`, noKey},

		{"a stream", windowsKeys + `\x.key:s.key`, noName},
		{"a stream of another file", windowsKeys + `\passwords.txt:x.key`, noName},
		{"a stream without a file", windowsKeys + `\:x.key`, noName},
		{"a wildcard", windowsKeys + `\*.key`, noName},
		{"another wildcard", windowsKeys + `\?.key`, noName},
		{"a wildcard of DOS", windowsKeys + `\<.key`, noName},
		{"a quote", windowsKeys + `\".key`, noName},
		{"a pipe sign", windowsKeys + `\a|b.key`, noName},

		{"NUL", windowsKeys + "\\a\x00.key", control},
		{"NUL behind it", windowsKeys + "\\a.key\x00", control},
		{"line feed", windowsKeys + "\\a\n.key", control},
		{"DEL", windowsKeys + "\\a\x7f.key", control},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			checkRefusedPath(t, checkPath(tt.path, windowsKeys, "windows"), tt.path, windowsKeys, tt.want)
		})
	}
	t.Run("ProgramData with slashes", func(t *testing.T) {
		t.Parallel()
		for _, path := range []string{windowsKeys + `\x.key`, `C:/ProgramData/AzureConnectedMachineAgent/Tokens/x.key`} {
			if err := checkPath(path, `C:/ProgramData\AzureConnectedMachineAgent\Tokens`,
				"windows"); err != nil {
				t.Errorf("%s: %v", path, err)
			}
		}
	})
}

// The key files that may be read, as a pattern and not step by step.
var (
	linuxKeyFile   = regexp.MustCompile(`^/var/opt/azcmagent/tokens/[^/\p{Cc}]+\.key$`)
	windowsKeyFile = regexp.MustCompile(`^C:\\PROGRAMDATA\\AZURECONNECTEDMACHINEAGENT\\TOKENS\\[^\\:*?"<>|\p{Cc}]+\.KEY$`)
)

func isKeyFile(path, goos string) bool {
	if goos == "windows" {
		return windowsKeyFile.MatchString(upperASCII(strings.ReplaceAll(path, "/", `\`))) &&
			strings.HasSuffix(path, ".key")
	}
	return linuxKeyFile.MatchString(path)
}

// upperASCII changes the letters that are the same in both cases on every file system, and no
// other.
func upperASCII(s string) string {
	return strings.Map(func(r rune) rune {
		if 'a' <= r && r <= 'z' {
			return r - 'a' + 'A'
		}
		return r
	}, s)
}

func TestDirectoryThatLeadsElsewhere(t *testing.T) {
	t.Parallel()
	real := t.TempDir()
	if err := os.MkdirAll(filepath.Join(real, "agent", "Tokens"), 0o700); err != nil {
		t.Fatal(err)
	}
	links := t.TempDir()
	for name, target := range map[string]string{"agent": filepath.Join(real, "agent"), "Tokens": filepath.Join(real, "agent", "Tokens")} {
		if err := os.Symlink(target, filepath.Join(links, name)); err != nil {
			t.Skip(err)
		}
	}
	file := filepath.Join(real, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, directory string
		refused         bool
	}{
		{"plain", filepath.Join(real, "agent", "Tokens"), false},
		{"not there", filepath.Join(real, "nothing", "Tokens"), false}, // which the key's own error says
		{"a link", filepath.Join(links, "Tokens"), true},
		{"below a link", filepath.Join(links, "agent", "Tokens"), true},
		{"a file", file, true},
	} {
		if err := checkDirectory(tt.directory); (err != nil) != tt.refused {
			t.Errorf("%s: got %v, want refused: %v", tt.name, err, tt.refused)
		}
		_, err := Read(filepath.Join(tt.directory, "x.key"), tt.directory, "windows")
		if got := strings.Contains(err.Error(), "is a link or no directory"); got != tt.refused {
			t.Errorf("%s: on Windows Read returns %v, want it to say so: %v", tt.name, err, tt.refused)
		}
	}
}
