// Package smallfile reads what others write for this process: a token, a certificate.
//
// Such a file is small, and replaced while the process runs. [Read] therefore opens it anew each
// time and bounds what it reads. What reads no further than a directory or a pipe says so at once.
// Errors don't repeat the path, because who reads knows the file by a better name.
//
// The package knows neither tokens nor certificates, and keeps nothing. All functions may be called
// by several goroutines at once.
package smallfile

import (
	"errors"
	"fmt"
	"io"
	"os"
)

// Read reads a file of at most limit bytes. Errors don't repeat the path. errors.Is finds those of
// io/fs.
func Read(path string, limit int64) ([]byte, error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, bare(err)
	case !info.Mode().IsRegular(): // reading a pipe could take for ever
		return nil, errors.New("is not a file")
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, bare(err)
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, limit+1))
	switch {
	case err != nil:
		return nil, bare(err)
	case int64(len(content)) > limit:
		return nil, fmt.Errorf("is larger than %d bytes", limit)
	}
	return content, nil
}

// bare is what the system said, without the path.
func bare(err error) error {
	if path, ok := errors.AsType[*os.PathError](err); ok {
		return path.Err
	}
	return err
}

// IsTemporary reports whether the system calls an error one that passes: no file descriptor left,
// say.
func IsTemporary(err error) bool {
	var temporary interface{ Temporary() bool }
	return errors.As(err, &temporary) && temporary.Temporary()
}
