package main

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"unsafe"
)

// inside is the first argument by which this command runs another in its own network namespace.
const inside = "-inside-network-namespace"

const capNetAdmin = 12 // CAP_NET_ADMIN of linux/capability.h

// isolated has a command run in a network namespace of its own, by way of this program, self, which
// has to switch loopback on there. Without root that takes a user namespace; the user in it is the
// same, because tests behave differently for root.
func isolated(cmd *exec.Cmd, self string) error {
	cmd.Args = append([]string{self, inside, cmd.Path}, cmd.Args[1:]...)
	cmd.Path = self
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	if os.Getuid() != 0 {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: os.Getuid(),
			HostID: os.Getuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: os.Getgid(),
			HostID: os.Getgid(), Size: 1}}
		cmd.SysProcAttr.AmbientCaps = []uintptr{capNetAdmin}
	}
	return nil
}

// enter becomes the command that isolated was given.
func enter(command []string) error {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_DGRAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	var ifreq struct { // struct ifreq of <net/if.h>
		name  [16]byte
		flags uint16
		_     [22]byte
	}
	copy(ifreq.name[:], "lo")
	ifreq.flags = syscall.IFF_UP
	if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, uintptr(fd), syscall.SIOCSIFFLAGS,
		uintptr(unsafe.Pointer(&ifreq))); errno != 0 {
		return fmt.Errorf("switching loopback on: %w", errno)
	}
	return syscall.Exec(command[0], command, os.Environ())
}
