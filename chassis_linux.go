package identity

import (
	"io"
	"os"
	"strings"
)

// chassisName is where the chassis asset tag is, for messages. Everybody may read that file.
const chassisName = "/sys/class/dmi/id/chassis_asset_tag"

func readChassisTag() (tag string, known bool) {
	file, err := os.Open(chassisName)
	if err != nil {
		return "", !isTemporary(err)
	}
	defer func() { _ = file.Close() }()
	text, err := io.ReadAll(io.LimitReader(file, 256)) // a string of SMBIOS, which is short
	if err != nil {
		return "", !isTemporary(err)
	}
	return strings.TrimSpace(string(text)), true
}
