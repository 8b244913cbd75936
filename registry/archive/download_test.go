package archive_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"regcred.dev"
	"regcred.dev/registry/archive"
)

// flaky is a server that ends each answer after some bytes, in one way or another.
type flaky struct {
	data   []byte
	header http.Header
	piece  int                                // bytes of an answer
	end    error                              // what a connection ends with, nil for waiting until it is given up
	change func(req int, resp *http.Response) // of each answer, by its number
	ranges []string                           // asked for
}

func (f *flaky) RoundTrip(req *http.Request) (*http.Response, error) {
	f.ranges = append(f.ranges, req.Header.Get("Range")+" "+req.Header.Get("If-Range"))
	from := 0
	resp := &http.Response{StatusCode: http.StatusOK, Header: f.header.Clone(), ContentLength: int64(len(f.data)), Request: req}
	if _, err := fmt.Sscanf(req.Header.Get("Range"), "bytes=%d-", &from); err == nil {
		resp.StatusCode = http.StatusPartialContent
		resp.Header.Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, len(f.data)-1, len(f.data)))
	}
	rest := f.data[from:]
	resp.Body = io.NopCloser(readerFunc(func(p []byte) (int, error) {
		n := copy(p[:min(len(p), f.piece)], rest)
		rest = rest[n:]
		switch {
		case n > 0:
			rest = rest[:min(len(rest), max(0, f.piece-(len(f.data)-from-len(rest))))]
			return n, nil
		case from+f.piece >= len(f.data):
			return 0, io.EOF
		case f.end != nil:
			return 0, f.end
		}
		<-req.Context().Done()
		return 0, req.Context().Err()
	}))
	if f.change != nil {
		f.change(len(f.ranges), resp)
	}
	return resp, nil
}

// TestDownloadResumed asks for the rest after a drop, and gets the same archive.
func TestDownloadResumed(t *testing.T) {
	data := save()
	piece := len(data)/3 + 1
	for _, test := range []struct {
		name    string
		header  http.Header
		end     error
		version string
	}{
		{"dropped", http.Header{"Accept-Ranges": {"bytes"}, "Etag": {`"v1"`}}, io.ErrUnexpectedEOF, `"v1"`},
		{"ended early", http.Header{"Accept-Ranges": {"bytes"}, "Etag": {`"v1"`}}, io.EOF, `"v1"`},
		{"dropped at once", nil, io.ErrUnexpectedEOF, ""},
		{"silent", http.Header{"Accept-Ranges": {"bytes"}, "Last-Modified": {"Mon, 01 Jun 2015 10:00:00 GMT"}, "Etag": {`W/"weak"`}}, nil, "Mon, 01 Jun 2015 10:00:00 GMT"},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := &flaky{data: data, header: test.header, end: test.end, piece: piece}
				want := []string{" ", fmt.Sprintf("bytes=%d- %s", piece, test.version), fmt.Sprintf("bytes=%d- %s", 2*piece, test.version)}
				if test.header == nil { // the second answer is whole
					f.header, want = http.Header{}, []string{" ", " "}
					f.change = func(n int, resp *http.Response) {
						body := io.Reader(strings.NewReader(""))
						if n > 1 {
							body = bytes.NewReader(data)
						}
						resp.Body = io.NopCloser(body)
					}
				}
				a, err := openURL(t, "https://example.com/x", f, archive.Options{})
				if err != nil {
					t.Fatal(err)
				}
				if err := readAll(a); err != nil {
					t.Error(err)
				}
				if diff := cmp.Diff(want, f.ranges); diff != "" {
					t.Error(diff)
				}
			})
		})
	}
}

// TestDownloadFails gives up where it cannot be sure of the rest.
func TestDownloadFails(t *testing.T) {
	ranges := http.Header{"Accept-Ranges": {"bytes"}, "Etag": {`"v1"`}}
	for _, test := range []struct {
		name   string
		header http.Header
		end    error
		change func(n int, resp *http.Response)
		asked  int
		want   string
	}{
		{"no ranges", http.Header{"Etag": {`"v1"`}}, io.ErrUnexpectedEOF, nil, 1, "cannot continue from there"},
		{"no version", http.Header{"Accept-Ranges": {"bytes"}}, io.ErrUnexpectedEOF, nil, 1, "cannot continue from there"},
		{"weak version", http.Header{"Accept-Ranges": {"bytes"}, "Etag": {`W/"v1"`}}, nil, nil, 1, "cannot continue from there"},
		{"changed", ranges, io.ErrUnexpectedEOF, func(n int, r *http.Response) {
			r.StatusCode = http.StatusOK
		}, 2, "it changed on example.com"},
		{"shrunk", ranges, io.ErrUnexpectedEOF, func(n int, r *http.Response) {
			if n > 1 {
				r.StatusCode = http.StatusRequestedRangeNotSatisfiable
			}
		}, 2, "it changed on example.com"},
		{"another range", ranges, io.ErrUnexpectedEOF, func(n int, r *http.Response) {
			r.Header.Set("Content-Range", "bytes 1-2/3")
		}, 2, "answers with the range"},
		{"expired", ranges, io.ErrUnexpectedEOF, func(n int, r *http.Response) {
			if n > 1 {
				r.StatusCode = http.StatusForbidden
			}
		}, 2, "may have expired"},
		{"no more bytes", ranges, nil, func(n int, r *http.Response) {
			if n > 1 {
				r.Body = io.NopCloser(readerFunc(func([]byte) (int, error) { return 0, errors.New("reset") }))
			}
		}, 5, "5 times in a row"},
		{"silence", ranges, nil, func(n int, r *http.Response) {
			if n > 1 {
				r.Body = io.NopCloser(readerFunc(func([]byte) (int, error) {
					<-r.Request.Context().Done()
					return 0, r.Request.Context().Err()
				}))
			}
		}, 5, "sent nothing for 1m0s, 5 times in a row"},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := &flaky{data: save(), header: test.header, end: test.end, piece: 1000, change: test.change}
				_, err := openURL(t, "https://example.com/x", f, archive.Options{})
				if regcred.CodeOf(err) != regcred.Unavailable && regcred.CodeOf(err) != regcred.Denied || !strings.Contains(fmt.Sprint(err), test.want) {
					t.Errorf("error %v", err)
				}
				if len(f.ranges) != test.asked {
					t.Errorf("it asked %q", f.ranges)
				}
			})
		})
	}
}

// TestDownloadCancelled ends with its context, also while it waits.
func TestDownloadCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stop := errors.New("stop")
		ctx, cancel := context.WithCancelCause(t.Context())
		f := &flaky{data: save(), header: http.Header{}, piece: 1000}
		done := make(chan error)
		go func() {
			_, err := archive.Open(ctx, "https://example.com/x", archive.Options{Transport: f})
			done <- err
		}()
		synctest.Wait()
		cancel(stop)
		if err := <-done; !errors.Is(err, stop) {
			t.Errorf("error %v", err)
		}
	})
}
