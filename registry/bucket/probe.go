package bucket

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"regcred.dev"
	"regcred.dev/registry"
)

// probeText is the content of the object that Setup tries things on.
const probeText = "regcred registry setup was here"

func (s *setup) write(ctx context.Context) error {
	return s.b.put(ctx, s.key, []byte(probeText), registry.Condition{})
}

// writes tries the conditions of writes.
func (s *setup) writes(ctx context.Context, stored bool) {
	found, err := conditions{}, error(nil)
	if stored {
		found, err = s.b.probeConditions(ctx)
	}
	for _, c := range []struct {
		name string
		held bool
		miss Status
		why  string
	}{
		{"conditional create", found.create, Missing, "the server ignores If-None-Match of PUT: use one that knows it, or a newer version of it"},
		{"conditional change", found.change, Missing, "the server ignores If-Match of PUT: use one that knows it, or a newer version of it"},
		{"conditional delete", found.delete, Advisable, "the server ignores If-Match of DELETE: a deletion takes two requests, and a write another one"},
	} {
		switch {
		case !stored:
			s.note(Check{Name: c.name, Status: Unchecked})
		case err != nil:
			s.note(Check{Name: c.name, Status: Missing, Problem: err.Error()})
		case !c.held:
			s.note(Check{Name: c.name, Status: c.miss, Problem: c.why})
		default:
			s.note(Check{Name: c.name, Status: OK})
		}
	}
}

// checksums finds out whether the server checks the CRC-32C of what it is sent.
func (s *setup) checksums(ctx context.Context, stored bool) {
	c := Check{Name: "checksums", Status: Unchecked}
	if stored {
		_, err := s.b.client.PutObject(ctx, &s3.PutObjectInput{
			Bucket: &s.b.o.Bucket, Key: &s.key, Body: strings.NewReader(probeText),
			ChecksumCRC32C: aws.String("AAAAAA=="),
		}, func(o *s3.Options) { o.Retryer = aws.NopRetryer{} })
		c.Status = OK
		if err == nil {
			c.Status = Advisable
			c.Problem = "the server ignores the CRC-32C of what it is sent: that TLS alone protects"
		}
	}
	s.note(c)
}

// reads tries the ways to read an object.
func (s *setup) reads(ctx context.Context, stored bool) {
	for _, c := range []struct {
		name, action string
		run          func(context.Context) error
	}{
		{"read", "s3:GetObject", s.read},
		{"read a range", "s3:GetObject", s.readRange},
		{"presigned URL for GET", "s3:GetObject", func(ctx context.Context) error { return s.fetch(ctx, http.MethodGet) }},
		{"presigned URL for HEAD", "s3:GetObject", func(ctx context.Context) error { return s.fetch(ctx, http.MethodHead) }},
	} {
		if !stored {
			s.note(Check{Name: c.name, Action: c.action, Status: Unchecked})
			continue
		}
		s.check(c.name, c.action, c.run(ctx))
	}
}

func (s *setup) read(ctx context.Context) error {
	data, _, err := s.b.read(ctx, s.key)
	if err == nil && string(data) != probeText {
		err = regcred.Errorf(regcred.Corrupt, "the server returns other content than it was given")
	}
	return err
}

func (s *setup) readRange(ctx context.Context) error {
	out, err := s.b.client.GetObject(ctx, &s3.GetObjectInput{Bucket: &s.b.o.Bucket, Key: &s.key, Range: aws.String("bytes=8-15")})
	if err != nil {
		return s.b.fail(ctx, "GetObject", s.key, err)
	}
	defer out.Body.Close()
	data, err := io.ReadAll(io.LimitReader(out.Body, int64(len(probeText))))
	if err == nil && string(data) != probeText[8:16] {
		err = regcred.Errorf(regcred.Unavailable, "the server ignores Range: use another one")
	}
	return err
}

// fetch reads the object by a presigned URL, as clients of the registry do.
func (s *setup) fetch(ctx context.Context, method string) error {
	u, err := s.b.locate(ctx, s.key, method, time.Minute)
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, method, u.String(), http.NoBody)
	if err != nil {
		return err
	}
	resp, err := s.b.client.Options().HTTPClient.Do(request)
	if err != nil {
		return regcred.Errorf(regcred.Unavailable, "%s cannot be reached: %w", u.Host, withoutURL(err))
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, 1<<10))
	if err != nil || resp.StatusCode != http.StatusOK || method == http.MethodGet && !bytes.Equal(data, []byte(probeText)) {
		return regcred.Errorf(regcred.Unavailable, "a presigned URL at %s is answered with status %d: check the public endpoint; a proxy in front has to leave the header Host and the query alone", u.Host, resp.StatusCode)
	}
	return nil
}

// withoutURL takes the URL out of an error, which is as good as a password.
func withoutURL(err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		return e.Err
	}
	return err
}

// multiparts tries an upload in parts, which it aborts.
func (s *setup) multiparts(ctx context.Context, stored bool) {
	const upload, list, abort = "s3:PutObject", "s3:ListBucketMultipartUploads", "s3:AbortMultipartUpload"
	if !stored {
		s.note(Check{Name: "upload in parts", Action: upload, Status: Unchecked})
		return
	}
	m := &multipart{b: s.b, path: s.key + "-parts", part: s.b.o.PartSize, size: int64(len(probeText))}
	err := m.begin(ctx)
	if err == nil {
		err = m.sendPart(ctx, 1, []byte(probeText))
	}
	if !s.check("upload in parts", upload, err) && m.id == "" {
		return
	}
	s.check("list uploads", list, s.listUploads(ctx, m))
	s.check("abort an upload", abort, s.b.abort(ctx, m.path, m.id))
}

func (s *setup) listUploads(ctx context.Context, m *multipart) error {
	for upload, err := range s.b.multiparts(ctx, m.path) {
		if err != nil || aws.ToString(upload.UploadId) == m.id {
			return err
		}
	}
	return regcred.Errorf(regcred.Unavailable, "the server does not list an upload that was begun: what is broken off has to be removed by a lifecycle rule of the bucket")
}
