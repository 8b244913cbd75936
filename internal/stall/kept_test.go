package stall_test

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"
	"time"

	"regcred.dev/internal/stall"
)

// TestKept asks again over a connection that was silent for longer than the patience,
// and then takes nothing of an answer: what came before neither cuts the next answer
// nor lets it wait for ever.
func TestKept(t *testing.T) {
	const patience = 300 * time.Millisecond // a small answer takes none of it, but on a busy machine
	ended := make(chan error, 1)
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/small" { // it fits into the connection's buffers
			_, _ = io.WriteString(w, "small")
			return
		}
		_, err := w.Write(content)
		ended <- err
	}))
	s.Listener = stall.Listener(s.Listener, patience)
	s.Start()
	t.Cleanup(s.Close)
	conn, err := net.Dial("tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	answers := bufio.NewReader(conn)
	for range 3 {
		if got, err := ask(conn, answers, "/small"); err != nil || got != "small" {
			t.Fatalf("%q, %v", got, err)
		}
		<-time.After(2 * patience)
	}
	if _, err := io.WriteString(conn, "GET /large HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-ended:
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("a client that stalls in its fourth answer: %v", err)
		}
	case <-time.After(time.Minute):
		t.Error("a client that stalls in its fourth answer is not cut")
	}
}

// ask asks for a path over a connection, and returns the answer.
func ask(conn net.Conn, answers *bufio.Reader, path string) (string, error) {
	if _, err := io.WriteString(conn, "GET "+path+" HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		return "", err
	}
	resp, err := http.ReadResponse(answers, nil)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return string(body), err
}

// TestDeadlines sets deadlines as others do: those of reads hold, and are taken away.
func TestDeadlines(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	client, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	conn, err := stall.Listener(l, time.Minute).Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(-time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("read after the deadline: %v", err)
	}
	if _, err := conn.Write([]byte("x")); err != nil {
		t.Errorf("each write has a deadline of its own: %v", err)
	}
	if err := conn.SetDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Write([]byte("y")); err != nil {
		t.Fatal(err)
	}
	if n, err := conn.Read(make([]byte, 1)); n != 1 {
		t.Errorf("read without a deadline: %v", err)
	}
}
