package s3test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
)

type faultKey struct{}

func withFault(ctx context.Context, f Fault) context.Context {
	return context.WithValue(ctx, faultKey{}, f)
}

// spoil carries out the faults of answers.
func (p *Proxy) spoil(resp *http.Response) error {
	fault, _ := resp.Request.Context().Value(faultKey{}).(Fault)
	if fault == "" || resp.StatusCode >= http.StatusMultipleChoices || resp.ContentLength <= 0 {
		return nil
	}
	at := p.below(resp.ContentLength)
	switch fault {
	case Truncate:
		resp.Body = &cut{Reader: io.LimitReader(resp.Body, at), Closer: resp.Body}
	case Shorten:
		resp.Body = body{io.LimitReader(resp.Body, at), resp.Body}
		resp.ContentLength = at
		resp.Header.Set("Content-Length", strconv.FormatInt(at, 10))
	case Wrong:
		resp.Body = &flip{ReadCloser: resp.Body, at: at}
	}
	return nil
}

// below returns a random number from 0 to n-1.
func (p *Proxy) below(n int64) int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.random.Int64N(n)
}

type body struct {
	io.Reader
	io.Closer
}

var errCut = errors.New("content cut on order")

// cut fails where its reader ends, which breaks the connection off.
type cut struct {
	io.Reader
	io.Closer
}

func (c *cut) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	if errors.Is(err, io.EOF) {
		err = errCut
	}
	return n, err
}

// flip changes one bit of the byte at an offset.
type flip struct {
	io.ReadCloser
	at int64 // from where the reader is now
}

func (f *flip) Read(p []byte) (int, error) {
	n, err := f.ReadCloser.Read(p)
	if f.at >= 0 && f.at < int64(n) {
		p[f.at] ^= 1
	}
	f.at -= int64(n)
	return n, err
}
