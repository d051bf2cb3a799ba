// Package chassis reads the asset tag of the machine's chassis, which tells a virtual machine of
// Azure from others without a packet. It knows nothing of identities: who asks decides what that
// means.
//
// [Tag] reads it once, from a file on Linux and from the registry on Windows, and keeps it. On
// other systems there is none.
package chassis

import (
	"bytes"
	"strings"
	"sync/atomic"
)

// Azure is the tag that every virtual machine of Azure has in its SMBIOS tables. It is no serial
// number: all of them have the same. A container sees the tag of the machine that it runs on.
//
// https://github.com/canonical/cloud-init/blob/main/cloudinit/sources/azure/identity.py
const Azure = "7783-7084-3265-9085-8269-3286-77"

// Tag returns this machine's tag, "" if there is none that may be read. It never changes, and many
// services make a credential per request, so that it is kept. Tag is safe for concurrent use.
func Tag() string { return tag.get() }

var tag = onceKnown{read: readTag}

// onceKnown calls read until it knows. A process that has no file descriptor left for a moment must
// not take a machine of Azure's for a laptop from then on.
type onceKnown struct {
	read func() (tag string, known bool)
	kept atomic.Pointer[string]
}

func (o *onceKnown) get() string {
	if tag := o.kept.Load(); tag != nil {
		return *tag
	}
	tag, known := o.read()
	if known {
		o.kept.Store(&tag)
	}
	return tag
}

// tagOf finds the tag in SMBIOS tables, as Windows hands them out: structures of a type, a length
// and a handle of two bytes, followed by their strings. Type 3 is the chassis, whose byte 8 is the
// number of the tag's string.
//
// https://www.dmtf.org/standards/smbios
func tagOf(tables []byte) string {
	for len(tables) >= 4 {
		kind, length := tables[0], int(tables[1])
		if length < 4 || length > len(tables) {
			return ""
		}
		structure, rest := tables[:length], tables[length:]
		end := bytes.Index(rest, []byte{0, 0})
		if end < 0 {
			return ""
		}
		if kind == 3 {
			const tag = 8
			texts := bytes.Split(rest[:end], []byte{0})
			if length <= tag || structure[tag] == 0 || int(structure[tag]) > len(texts) {
				return ""
			}
			return strings.TrimSpace(string(texts[structure[tag]-1]))
		}
		tables = rest[end+2:]
	}
	return ""
}
