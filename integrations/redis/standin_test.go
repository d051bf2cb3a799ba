package identityredis_test

import (
	"bufio"
	"fmt"
	"log"
	"net"
	"strings"
)

// standIn is as much of a Redis server as the Example needs: it takes any login, and counts to 1.
// It returns its address.
func standIn() string {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go answer(conn)
		}
	}()
	return listener.Addr().String()
}

func answer(conn net.Conn) {
	defer conn.Close()
	r := bufio.NewReader(conn)
	for {
		var parts, length int
		if _, err := fmt.Fscanf(r, "*%d\r\n", &parts); err != nil {
			return
		}
		var command string
		for i := range parts {
			if _, err := fmt.Fscanf(r, "$%d\r\n", &length); err != nil {
				return
			}
			text := make([]byte, length+2)
			for read := 0; read < len(text); {
				n, err := r.Read(text[read:])
				if err != nil {
					return
				}
				read += n
			}
			if i == 0 {
				command = strings.ToLower(string(text[:length]))
			}
		}
		switch command {
		case "hello":
			fmt.Fprint(conn, "%1\r\n$5\r\nproto\r\n:3\r\n")
		case "incr":
			fmt.Fprint(conn, ":1\r\n")
		default:
			fmt.Fprint(conn, "-ERR unknown command\r\n")
		}
	}
}
