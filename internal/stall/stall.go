// Package stall cuts connections whose other end takes nothing of what it is sent.
//
// The write timeout of net/http is for a whole answer: it cuts clients that are slow,
// or lets those that stall hold a connection for as long as the largest answer may
// take. Here the time begins anew with every piece that is taken.
package stall

import (
	"errors"
	"io"
	"net"
	"os"
	"sync/atomic"
	"time"
)

// Patience is how long a client may take for one piece, unless it is said otherwise:
// at the slowest it then reads about 4 KiB a second.
const Patience = time.Minute

// piece is how much is sent under one deadline, in bytes.
const piece = 256 << 10

// Listener returns l with connections that end where the other end takes longer than
// the patience for a piece of what it is sent. Those that are not TCP stay as they
// are.
func Listener(l net.Listener, patience time.Duration) net.Listener {
	return &listener{l, patience}
}

type listener struct {
	net.Listener
	patience time.Duration
}

func (l *listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if tcp, ok := c.(*net.TCPConn); ok {
		return &conn{TCPConn: tcp, patience: l.patience}, err
	}
	return c, err
}

// conn is a TCP connection whose writes have deadlines. net/http sends files by its
// ReadFrom, which leaves the copying to the kernel.
type conn struct {
	*net.TCPConn
	patience time.Duration
	// until is when the deadline of writes ends, in nanoseconds after the epoch; 0 where
	// somebody else set it.
	until atomic.Int64
}

// epoch is what until counts from: a difference of clocks that are never set.
var epoch = time.Now()

// SetDeadline implements net.Conn.
func (c *conn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// SetWriteDeadline implements net.Conn. A deadline is never taken away: net/http does
// that after each answer, and the next one would need it anew.
func (c *conn) SetWriteDeadline(t time.Time) error {
	if t.IsZero() {
		return nil
	}
	c.until.Store(0)
	return c.TCPConn.SetWriteDeadline(t)
}

// Write implements net.Conn.
func (c *conn) Write(p []byte) (n int, err error) {
	for {
		if err := c.extend(); err != nil {
			return n, err
		}
		wrote, err := c.TCPConn.Write(p[n:min(n+piece, len(p))])
		if n += wrote; err != nil || n == len(p) {
			return n, err
		}
	}
}

// ReadFrom implements io.ReaderFrom.
func (c *conn) ReadFrom(r io.Reader) (n int64, err error) {
	limited, ok := r.(*io.LimitedReader)
	if !ok {
		limited = &io.LimitedReader{R: r, N: 1<<63 - 1}
	}
	if _, ok := limited.R.(*os.File); !ok {
		// It may take longer to read than to send: Write has the deadlines.
		return io.Copy(struct{ io.Writer }{c}, r)
	}
	for limited.N > 0 {
		if err := c.extend(); err != nil {
			return n, err
		}
		part := &io.LimitedReader{R: limited.R, N: min(limited.N, piece)}
		sent, err := c.TCPConn.ReadFrom(part)
		n += sent
		limited.N -= sent
		if err != nil || part.N > 0 {
			return n, err
		}
	}
	return n, nil
}

// extend sees to it that the other end has the patience from now on. It gives a little
// more, so that most of many small answers need no new deadline.
func (c *conn) extend() error {
	now := time.Now()
	if int64(now.Sub(epoch)+c.patience) <= c.until.Load() {
		return nil
	}
	until := now.Add(c.patience + c.patience/8)
	c.until.Store(int64(until.Sub(epoch)))
	return c.TCPConn.SetWriteDeadline(until)
}
