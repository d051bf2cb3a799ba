//go:build !linux && !windows

package identity

const chassisName = "chassis-asset-tag"

func readChassisTag() (tag string, known bool) { return "", true }
