package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"
)

// connections is how many clients ask at once.
const connections = 16

// target is what a load asks for: one path of one server.
type target struct {
	addr   string
	path   string
	header string // more header lines, each with CRLF at its end
	status int    // that every answer must have
	size   int64  // of the body of every answer, in bytes; -1: any
}

// request returns the request in the form that it is sent in.
func (t target) request() []byte {
	return fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: %s\r\n%s\r\n", t.path, t.addr, t.header)
}

// load has clients ask for a target, each again and again over one connection for a
// time, and returns the answers a second. Go's own client would take more than what
// is measured: this one reads no more of an answer than it must.
func (t target) load(ctx context.Context, d time.Duration) (float64, error) {
	group, ctx := errgroup.WithContext(ctx) // where one fails, all end
	counts := make([]int, connections)
	began := time.Now()
	for i := range counts {
		group.Go(func() error {
			n, err := t.client(ctx, began.Add(d))
			counts[i] = n
			return err
		})
	}
	err := group.Wait()
	total := 0
	for _, n := range counts {
		total += n
	}
	return float64(total) / time.Since(began).Seconds(), err
}

// client asks until a time, and returns how many answers came.
func (t target) client(ctx context.Context, until time.Time) (int, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", t.addr)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	if err := conn.SetDeadline(until.Add(patience)); err != nil {
		return 0, err
	}
	answers := bufio.NewReaderSize(conn, 64<<10)
	request := t.request()
	n := 0
	for ; time.Now().Before(until); n++ {
		if _, err := conn.Write(request); err != nil {
			return n, err
		}
		if err := t.readAnswer(answers); err != nil {
			return n, fmt.Errorf("GET http://%s%s: %w", t.addr, t.path, err)
		}
	}
	return n, nil
}

var contentLength = []byte("content-length:")

// readAnswer reads one answer and checks it.
func (t target) readAnswer(r *bufio.Reader) error {
	line, err := r.ReadSlice('\n')
	if err != nil {
		return err
	}
	if len(line) < 12 || string(line[9:12]) != strconv.Itoa(t.status) {
		return fmt.Errorf("the answer is %q, not %d", bytes.TrimSpace(line), t.status)
	}
	size := int64(-1)
	for {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return err
		}
		if len(line) <= 2 {
			break
		}
		if len(line) > len(contentLength) && bytes.EqualFold(line[:len(contentLength)], contentLength) {
			size, err = strconv.ParseInt(string(bytes.TrimSpace(line[len(contentLength):])), 10, 64)
			if err != nil {
				return err
			}
		}
	}
	if size < 0 {
		return errors.New("the answer has no length")
	}
	if t.size >= 0 && size != t.size {
		return fmt.Errorf("the answer has %d bytes, not %d", size, t.size)
	}
	_, err = io.CopyN(io.Discard, r, size)
	return err
}
