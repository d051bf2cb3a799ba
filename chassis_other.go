//go:build !linux && !windows

package identity

const chassisName = "chassis-asset-tag"

func readChassisTag() string { return "" }
