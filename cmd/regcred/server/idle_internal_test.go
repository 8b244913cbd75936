package server

import (
	"bufio"
	"io"
	"log/slog"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"regcred.dev/regcredtest/pipenet"
)

// connect returns a connection to a server whose answers are empty.
func connect(t *testing.T) net.Conn {
	t.Helper()
	return pipenet.Connect(t, newWebServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}), slog.New(slog.DiscardHandler)))
}

// get sends a request, and reads the answer.
func get(conn net.Conn) error {
	if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		return err
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

// TestIdle keeps a connection for as long as clients written in Go do, whether it was
// used before or not: they may use it at any time until then.
func TestIdle(t *testing.T) {
	kept := http.DefaultTransport.(*http.Transport).IdleConnTimeout + time.Second
	for name, requests := range map[string]int{"unused": 0, "used": 2} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				conn := connect(t)
				for range requests {
					if err := get(conn); err != nil {
						t.Fatal(err)
					}
				}
				<-time.After(kept)
				if err := get(conn); err != nil {
					t.Errorf("a request after %s: %v", kept, err)
				}
			})
		})
	}
}

// TestHalfAHeader sends a part of a request and no more.
func TestHalfAHeader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn := connect(t)
		if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\n"); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		_, err := io.Copy(io.Discard, conn)
		if took := time.Since(began); err != nil || took != idlePatience {
			t.Errorf("it is cut after %s, %v, want %s", took, err, idlePatience)
		}
	})
}
