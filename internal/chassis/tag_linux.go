package chassis

import (
	"errors"
	"io"
	"os"
	"strings"
)

// Path is where the tag is, for messages. Everybody may read that file.
const Path = "/sys/class/dmi/id/chassis_asset_tag"

func readTag() (tag string, known bool) {
	file, err := os.Open(Path)
	if err != nil {
		return "", !passes(err)
	}
	defer func() { _ = file.Close() }()
	text, err := io.ReadAll(io.LimitReader(file, 256)) // a string of SMBIOS, which is short
	if err != nil {
		return "", !passes(err)
	}
	return strings.TrimSpace(string(text)), true
}

// passes reports whether the system calls an error one that passes: no file descriptor left, say.
func passes(err error) bool {
	var temporary interface{ Temporary() bool }
	return errors.As(err, &temporary) && temporary.Temporary()
}
