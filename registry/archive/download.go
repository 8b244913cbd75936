package archive

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"time"

	"regcred.dev"
	"regcred.dev/internal/web"
)

// How a download deals with servers and networks that fail.
const (
	// tries is how often it asks in a row without getting a byte.
	tries = 5
	// firstWait is the longest wait before it asks again; it doubles after.
	firstWait = time.Second
	// patience is how long it waits for a byte.
	patience = time.Minute
)

// download reads the content at a URL. Where the connection drops it asks for the rest
// (RFC 9110, section 14), if the server gives out ranges and says which version of the
// content it is: else there is no telling whether the rest belongs to the beginning.
type download struct {
	ctx    context.Context
	url    *url.URL
	client *http.Client

	asking *http.Request
	body   io.ReadCloser // nil while there is no connection
	cancel context.CancelCauseFunc
	stall  *time.Timer // ends a connection that no byte comes from
	offset int64
	total  int64 // -1 where the server does not say
	// version is a strong ETag or a date, empty where the server does not give out
	// ranges.
	version string
	failed  int // tries in a row
}

func newDownload(ctx context.Context, u *url.URL, o Options) *download {
	plain := *u
	plain.User, plain.Fragment = nil, "" // the client logs in
	return &download{ctx: ctx, url: &plain, client: newClient(u, o), total: -1}
}

// start asks for the content.
func (d *download) start() error {
	for {
		err := d.ask()
		if err == nil {
			return nil
		}
		if err := d.wait(err); err != nil {
			return err
		}
	}
}

// Read returns content. Errors: Unavailable where the server fails or the connection
// drops for good.
func (d *download) Read(p []byte) (int, error) {
	for {
		if d.body == nil {
			if err := d.start(); err != nil {
				return 0, err
			}
		}
		d.stall.Reset(patience)
		n, err := d.body.Read(p)
		d.stall.Stop() // who reads may take his time
		if n > 0 {
			d.offset, d.failed = d.offset+int64(n), 0
		}
		switch {
		case err == io.EOF && (d.total < 0 || d.offset >= d.total):
			return n, io.EOF
		case err == nil:
			return n, nil
		}
		if err := d.dropped(err); err != nil || n > 0 {
			return n, err
		}
	}
}

// dropped ends a connection that failed. Its error is for good.
func (d *download) dropped(err error) error {
	err = d.explain(err)
	d.disconnect()
	if _, ok := errors.AsType[passing](err); ok && d.version == "" && d.offset > 0 {
		return regcred.Errorf(regcred.Unavailable, "the connection dropped after %d bytes, and the server cannot continue from there: try again, or download it with another program and publish the file", d.offset)
	}
	return d.wait(err)
}

// passing marks a failure that may not come again.
type passing struct{ error }

func (p passing) Unwrap() error { return p.error }

// wait waits until the server can be asked again, and returns an error for good where
// that makes no sense.
func (d *download) wait(err error) error {
	p, ok := errors.AsType[passing](err)
	if !ok {
		return err
	}
	if d.failed++; d.failed >= tries {
		return fmt.Errorf("%w, %d times in a row", p.error, tries)
	}
	longest := firstWait << (d.failed - 1)
	timer := time.NewTimer(longest/2 + rand.N(longest/2))
	defer timer.Stop()
	select {
	case <-d.ctx.Done():
		return context.Cause(d.ctx)
	case <-timer.C:
		return nil
	}
}

func (d *download) request(ctx context.Context) *http.Request {
	req := (&http.Request{Method: http.MethodGet, URL: d.url, Host: d.url.Host, Header: http.Header{}}).WithContext(ctx)
	// Of a content that is compressed on the way ranges make no sense.
	req.Header.Set("Accept-Encoding", "identity")
	if d.offset > 0 {
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-", d.offset))
		req.Header.Set("If-Range", d.version)
	}
	return req
}

// ask asks for the content from the offset on.
func (d *download) ask() error {
	ctx, cancel := context.WithCancelCause(d.ctx)
	d.cancel, d.stall = cancel, time.AfterFunc(patience, func() { cancel(errStalled) })
	d.asking = d.request(ctx)
	resp, err := d.client.Do(d.asking) //nolint:bodyclose // disconnect does it
	if err != nil {
		err = d.explain(err)
		d.disconnect()
		return err
	}
	d.body = resp.Body
	if err := d.accept(resp); err != nil {
		d.disconnect()
		return err
	}
	return nil
}

// errStalled is why a connection is ended that no byte comes from.
var errStalled = errors.New("no byte came")

// explain says why there is no answer, or not all of it.
func (d *download) explain(err error) error {
	if ctxErr := context.Cause(d.ctx); ctxErr != nil {
		return ctxErr
	}
	if errors.Is(context.Cause(d.asking.Context()), errStalled) {
		return passing{regcred.Errorf(regcred.Unavailable, "%s sent nothing for %s", d.url.Host, patience)}
	}
	if own, ok := errors.AsType[*regcred.Error](err); ok { // a redirect or an address that is not followed
		return own
	}
	return passing{web.Unreachable(d.asking.WithContext(d.ctx), err)}
}

// accept looks at the head of an answer.
func (d *download) accept(resp *http.Response) error {
	host := d.url.Host
	switch s := resp.StatusCode; {
	case s == http.StatusOK && d.offset == 0:
		d.total, d.version = resp.ContentLength, versionOf(resp.Header)
		return nil
	case s == http.StatusPartialContent && d.offset > 0:
		return d.acceptRest(resp)
	case s == http.StatusOK, s == http.StatusRequestedRangeNotSatisfiable && d.offset > 0:
		return regcred.Errorf(regcred.Unavailable, "it changed on %s while it was downloaded: try again", host)
	case s == http.StatusUnauthorized:
		return regcred.Errorf(regcred.Unauthenticated, "%s asks for a login, or refuses the one in the URL (https://USER:PASSWORD@HOST/...)", host)
	case s == http.StatusForbidden:
		return regcred.Errorf(regcred.Denied, "%s does not give it out: check the URL, which may have expired if it is a signed one", host)
	case s == http.StatusNotFound, s == http.StatusGone:
		return regcred.Errorf(regcred.NotFound, "%s has no such file: check the URL", host)
	case s >= 500, s == http.StatusTooManyRequests, s == http.StatusRequestTimeout:
		return passing{regcred.Errorf(regcred.Unavailable, "%s answers with status %d", host, s)}
	default:
		return regcred.Errorf(regcred.Unavailable, "%s answers with status %d in place of the file: check the URL", host, s)
	}
}

// acceptRest checks that an answer continues where the last one ended.
func (d *download) acceptRest(resp *http.Response) error {
	var first, last, total int64
	got := resp.Header.Get("Content-Range")
	_, err := fmt.Sscanf(got, "bytes %d-%d/%d", &first, &last, &total)
	if err != nil || first != d.offset || d.total >= 0 && total != d.total {
		return regcred.Errorf(regcred.Unavailable, "%s was asked for what follows byte %d, but answers with the range %.80q: download it with another program and publish the file", d.url.Host, d.offset, got)
	}
	return nil
}

// versionOf returns by what the rest of a content is asked for.
func versionOf(h http.Header) string {
	if !strings.EqualFold(h.Get("Accept-Ranges"), "bytes") {
		return ""
	}
	tag := h.Get("ETag")
	if strings.HasPrefix(tag, "W/") {
		tag = "" // a weak one does not tell every version apart
	}
	return cmp.Or(tag, h.Get("Last-Modified"))
}

func (d *download) disconnect() {
	d.cancel(nil)
	d.stall.Stop()
	if d.body != nil {
		_ = d.body.Close() // only read from
		d.body = nil
	}
}

// Close ends the download.
func (d *download) Close() error {
	if d.body != nil {
		d.disconnect()
	}
	return nil
}
