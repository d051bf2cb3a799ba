package arckey

import (
	"errors"
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
	const below = `\AzureConnectedMachineAgent\Tokens`
	for _, tt := range []struct{ goos, programData, want, wantError string }{
		{goos: "linux", want: linuxKeys},
		{goos: "linux", programData: `C:\ProgramData`, want: linuxKeys},
		{goos: "windows", programData: `C:\ProgramData`, want: windowsKeys},
		{goos: "windows", programData: `C:\ProgramData\`, want: windowsKeys},
		{goos: "windows", programData: `C:/ProgramData/`, want: `C:/ProgramData` + below},
		{goos: "windows", programData: `D:\Data`, want: `D:\Data` + below},
		{goos: "windows", programData: `D:\`, want: `D:` + below},
		{goos: "windows", wantError: "ProgramData: is empty"},
		{goos: "darwin", programData: `C:\ProgramData`, wantError: "not on darwin"},
		{goos: "", wantError: "Linux and Windows"},
	} {
		got, err := Directory(tt.goos, func(string) string { return tt.programData })
		if got != tt.want || (err == nil) != (tt.wantError == "") {
			t.Errorf("%+v: got %q, %v", tt, got, err)
		}
		if tt.wantError != "" {
			wantWordsIn(t, err, tt.wantError)
		}
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

// What is wrong with a path, in the words of its error; passes is for those that may be read.
const (
	passes    = ""
	elsewhere = "it is not in "
	noKey     = "does not end in .key"
	control   = "control character"
	noName    = "no file name"
)

// checkPaths judges paths, in which DIR is the agent's directory, by what is wrong with them. A
// path is the other side's text, so that no error repeats it.
func checkPaths(t *testing.T, goos, directory string, paths map[string][]string) {
	t.Helper()
	for want, list := range paths {
		for _, path := range list {
			path = strings.Replace(path, "DIR", directory, 1)
			err := checkPath(path, directory, goos)
			if want == passes || err == nil {
				if (want == passes) != (err == nil) {
					t.Errorf("%q: got %v, want an error with %q", path, err, want)
				}
				continue
			}
			if want == elsewhere {
				wantWordsIn(t, err, elsewhere+directory)
			}
			wantWordsIn(t, err, "was not read", want)
			if len(path) > 8 && strings.Contains(err.Error(), path) && path != directory {
				t.Errorf("error repeats the path: %v", err)
			}
		}
	}
}

func TestPathOnLinux(t *testing.T) {
	t.Parallel()
	checkPaths(t, "linux", linuxKeys, map[string][]string{
		passes: {
			"DIR/5ba03fd4-1ba4-4f1b-9e4c-6d5e9a2f6a7e.key", "DIR/x.key", "DIR/.x.key",
			"DIR/a..b.key", "DIR/a b.key",
			`DIR/a\b.key`, // which is no separator
		},
		elsewhere: {
			"", "DIR", "/x.key", "/etc/ssl/private/x.key", "/var/opt/azcmagent/x.key",
			"DIR/a/x.key", "DIR2/x.key", "/tmpDIR/x.key", "DIR/../x.key",
			"DIR/../../../../etc/x.key", "DIR/../tokens/x.key", "DIR/./x.key", "DIR//x.key",
			"/DIR/x.key", "x.key", linuxKeys[1:] + "/x.key", "./x.key", "~/x.key",
			"file://DIR/x.key", "/var/opt/azcmagent/Tokens/x.key",
			`\var\opt\azcmagent\tokens\x.key`, `"DIR/x.key`, " DIR/x.key", windowsKeys + `\x.key`,
			"DIR%2Fx.key", "DIR/x.key/",
		},
		noKey: {
			"DIR/", "DIR/x", "DIR/x.pem", "DIR/.key", "DIR/x.KEY", "DIR/xkey", "DIR/x.key.bak",
			"DIR/x.key ", "DIR/x.key.", `DIR/x.key"`, "DIR/..",
			"DIR/x.\u212aey", // Kelvin's sign
		},
		control: {
			"DIR/passwd\x00.key", "DIR/x.key\x00", "/etc/passwd\x00DIR/x.key", "DIR/x\n.key",
			"DIR/x.key\n", "DIR/x\r.key", "DIR/x\t.key", "DIR/x\x1b[2J.key", "DIR/x\x7f.key",
			"DIR/x\u0085.key",
		},
	})
}

func TestPathOnWindows(t *testing.T) {
	t.Parallel()
	const agent = `C:\ProgramData\AzureConnectedMachineAgent`
	paths := map[string][]string{
		passes: {
			`DIR\5ba03fd4-1ba4-4f1b-9e4c-6d5e9a2f6a7e.key`, `DIR\x.key`, `DIR\ABCDEF~1.key`,
			`DIR\a b.key`, `C:/ProgramData/AzureConnectedMachineAgent/Tokens/x.key`,
			`C:\ProgramData/AzureConnectedMachineAgent\Tokens/x.key`,
			`c:\programdata\azureconnectedmachineagent\TOKENS\X.key`,
			agent + `\tokens\x.key`, // as the agent's documentation has it
		},
		elsewhere: {
			"", "DIR", `C:\Windows\System32\x.key`, agent + `\x.key`, `DIR\a\x.key`, `DIR\a/x.key`,
			`DIR2\x.key`, `DIR.\x.key`, `DIR \x.key`, `DIR\..\x.key`, `DIR/../x.key`,
			`DIR\..\Tokens\x.key`, `DIR\.\x.key`, `DIR\\x.key`, `x.key`, `C:x.key`,
			`C:ProgramData\AzureConnectedMachineAgent\Tokens\x.key`,
			`\ProgramData\AzureConnectedMachineAgent\Tokens\x.key`,
			`D:\ProgramData\AzureConnectedMachineAgent\Tokens\x.key`,
			`C:\PROGRA~3\AZUREC~1\Tokens\x.key`,
			`%ProgramData%\AzureConnectedMachineAgent\Tokens\x.key`,
			`file:///C:/ProgramData/AzureConnectedMachineAgent/Tokens/x.key`, linuxKeys + "/x.key",
			// another machine, devices and pipes
			`\\attacker\share\x.key`, `//attacker/share/x.key`, `\\attacker\DIR\x.key`,
			`\\attacker\C$\ProgramData\AzureConnectedMachineAgent\Tokens\x.key`,
			`\\?\DIR\x.key`, `\\.\DIR\x.key`, `\??\DIR\x.key`, `\\.\pipe\x.key`,
			// streams of the directory
			`DIR:x.key`, `DIR::$INDEX_ALLOCATION\x.key`,
			// Windows compares names by its own table, in which Kelvin's sign and the long s are
			// other letters: a directory of that name is another one, which anybody may make where
			// the parent is not protected.
			agent + "\\To\u212aens\\x.key", agent + "\\Token\u017f\\x.key",
		},
		noKey: {
			`DIR\`, `DIR\x`, `DIR\x.pem`, `DIR\.key`, `DIR\x.KEY`, `DIR\x.key::$DATA`,
			`DIR\x.key `, `DIR\x.key.`, // Windows drops it: the same file by another name
		},
		noName: {
			`DIR\x.key:s.key`, `DIR\passwords.txt:x.key`, `DIR\:x.key`, `DIR\*.key`, `DIR\?.key`,
			`DIR\<.key`, `DIR\".key`, `DIR\a|b.key`,
		},
		control: {"DIR\\a\x00.key", "DIR\\a.key\x00", "DIR\\a\n.key", "DIR\\a\x7f.key"},
	}
	checkPaths(t, "windows", windowsKeys, paths)
	checkPaths(t, "windows", `C:/ProgramData\AzureConnectedMachineAgent\Tokens`,
		map[string][]string{passes: {windowsKeys + `\x.key`, paths[passes][4]}})
}

// The key files that may be read, as a pattern and not step by step.
var (
	linuxKeyFile   = regexp.MustCompile(`^/var/opt/azcmagent/tokens/[^/\p{Cc}]+\.key$`)
	windowsKeyFile = regexp.MustCompile(`^C:\\PROGRAMDATA\\AZURECONNECTEDMACHINEAGENT\\TOKENS\\` +
		`[^\\:*?"<>|\p{Cc}]+\.KEY$`)
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
	real, links := t.TempDir(), t.TempDir()
	tokens, file := filepath.Join(real, "agent", "Tokens"), filepath.Join(real, "file")
	if err := errors.Join(os.MkdirAll(tokens, 0o700), os.WriteFile(file, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Symlink(tokens, filepath.Join(links, "Tokens")),
		os.Symlink(filepath.Dir(tokens), filepath.Join(links, "agent"))); err != nil {
		t.Skip(err)
	}
	for directory, refused := range map[string]bool{
		tokens:                                   false,
		filepath.Join(real, "nothing", "Tokens"): false, // which the key's own error says
		filepath.Join(links, "Tokens"):           true,
		filepath.Join(links, "agent", "Tokens"):  true,
		file:                                     true,
	} {
		if err := checkDirectory(directory); (err != nil) != refused {
			t.Errorf("%s: got %v, want refused: %v", directory, err, refused)
		}
		_, err := Read(filepath.Join(directory, "x.key"), directory, "windows")
		if got := strings.Contains(err.Error(), "is a link or no directory"); got != refused {
			t.Errorf("%s: on Windows Read returns %v, want it to say so: %v", directory, err, refused)
		}
	}
}
