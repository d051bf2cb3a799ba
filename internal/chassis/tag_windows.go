package chassis

import "syscall"

// Path is where the tag is, for messages.
const Path = `HKLM\SYSTEM\CurrentControlSet\Services\mssmbios\Data\SMBiosData`

// readTag reads the SMBIOS tables that Windows' own driver keeps in the registry, where
// every user may read them.
func readTag() (tag string, known bool) {
	path, err := syscall.UTF16PtrFromString(`SYSTEM\CurrentControlSet\Services\mssmbios\Data`)
	if err != nil {
		return "", true
	}
	name, err := syscall.UTF16PtrFromString("SMBiosData")
	if err != nil {
		return "", true
	}
	var key syscall.Handle
	if syscall.RegOpenKeyEx(syscall.HKEY_LOCAL_MACHINE, path, 0, syscall.KEY_QUERY_VALUE,
		&key) != nil {
		return "", true
	}
	defer func() { _ = syscall.RegCloseKey(key) }()
	const most = 1 << 20 // they have some kilobytes
	tables := make([]byte, most)
	size := uint32(most)
	if syscall.RegQueryValueEx(key, name, nil, nil, &tables[0], &size) != nil {
		return "", true
	}
	const header = 8 // versions and a length, which Windows puts in front
	if size < header || size > most {
		return "", true
	}
	return tagOf(tables[header:size]), true
}
