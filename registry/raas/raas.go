// Package raas lays the images of a Pulp v1 export out in a bucket, as Docker Registry
// as a Service did for Crane, which sends clients there:
//
//	APP/ID/{layer,json,ancestry}   of each image; "/" in APP is "-" here
//	APP.json                       the metadata by which Crane serves them
package raas

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"regcred.dev"
	"regcred.dev/registry/archive"
)

// Uploader stores objects.
type Uploader interface {
	// Put stores an object of that size in place of any other. It may open the content
	// more than once, and reads it to its end.
	Put(ctx context.Context, key, contentType string, size int64, open func() (io.ReadCloser, error)) error
}

// Options say what to publish. The zero value publishes everything.
type Options struct {
	// Mask are ids of images that somebody else hosts: they are not uploaded, nor listed
	// in the metadata. Another repository of the same Crane has to list them.
	Mask []string
	// BaseURL is how clients reach the bucket, such as
	// "https://s3.amazonaws.com/acme.bucket". Empty means what the export says for its
	// whole repository.
	BaseURL string
	// Report, if set, is called with each line of what is done, one after the other.
	Report func(line string)
}

// Result is what was published.
type Result struct {
	// Uploaded counts objects, Skipped images.
	Uploaded, Skipped int
	// Metadata is the content of APP.json.
	Metadata []byte
}

// appName matches names with at most one slash.
var appName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)?$`)

// maxAppName is the longest name, in bytes.
const maxAppName = 255

// Prefix returns the directory of an app in its bucket. Errors: Invalid.
func Prefix(app string) (string, error) {
	if !appName.MatchString(app) || len(app) > maxAppName {
		return "", regcred.Errorf(regcred.Invalid, "%.100q is no name of an app: use letters, digits, dots, hyphens and underscores, with one / at most", app)
	}
	return strings.Replace(app, "/", "-", 1), nil
}

// Publish uploads an export. The metadata comes last, so it names nothing that is not
// there.
//
// Errors: Invalid for a malformed app or URL, or a mask that has a tagged image;
// those of reading the archive, and of the Uploader.
func Publish(ctx context.Context, up Uploader, bucket, app string, e *archive.Export, o Options) (Result, error) {
	prefix, err := Prefix(app)
	if err != nil {
		return Result{}, err
	}
	p := publication{up: up, bucket: bucket, o: o}
	if p.o.Report == nil {
		p.o.Report = func(string) {}
	}
	p.result.Metadata, err = metadata(app, prefix, e, o)
	if err != nil {
		return Result{}, err
	}
	for _, img := range e.Images {
		if err := p.image(ctx, prefix, img); err != nil {
			return p.result, err
		}
	}
	data := p.result.Metadata
	open := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(data)), nil }
	return p.result, p.put(ctx, prefix+".json", "application/json", int64(len(data)), open)
}

// publication is one Publish.
type publication struct {
	up     Uploader
	bucket string
	o      Options
	result Result
}

func (p *publication) image(ctx context.Context, prefix string, img archive.ExportImage) error {
	if slices.Contains(p.o.Mask, img.ID) {
		p.result.Skipped++
		p.o.Report("Skipping layer " + img.ID)
		return nil
	}
	for _, f := range []struct {
		name, contentType string
		blob              archive.Blob
	}{
		{"layer", "application/octet-stream", img.Layer},
		{"json", "application/json", img.JSON},
		{"ancestry", "application/json", img.Ancestry},
	} {
		key := prefix + "/" + img.ID + "/" + f.name
		if err := p.put(ctx, key, f.contentType, f.blob.Descriptor.Size, f.blob.Open); err != nil {
			return err
		}
	}
	return nil
}

func (p *publication) put(ctx context.Context, key, contentType string, size int64, open func() (io.ReadCloser, error)) error {
	if err := p.up.Put(ctx, key, contentType, size, open); err != nil {
		return fmt.Errorf("uploading %s: %w", key, err)
	}
	p.result.Uploaded++
	p.o.Report(fmt.Sprintf("Successfully uploaded to <Bucket: %s>:%s", p.bucket, key))
	return nil
}

// redirect is Crane's metadata of version 1.
type redirect struct {
	Type       string            `json:"type"`
	Version    int               `json:"version"`
	Repository string            `json:"repository"`
	RegistryID string            `json:"repo-registry-id"`
	URL        string            `json:"url"`
	Protected  bool              `json:"protected"`
	Images     []image           `json:"images"`
	Tags       map[string]string `json:"tags"`
}

type image struct {
	ID string `json:"id"`
}

// metadata makes APP.json.
func metadata(app, prefix string, e *archive.Export, o Options) ([]byte, error) {
	r := redirect{
		Type: "pulp-docker-redirect", Version: 1, Repository: prefix, RegistryID: app,
		URL: e.URL, Protected: e.Protected, Images: []image{}, Tags: e.Tags,
	}
	if o.BaseURL != "" {
		u, err := url.Parse(o.BaseURL)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" {
			return nil, regcred.Errorf(regcred.Invalid, "the bucket's URL for clients is malformed: write https://HOST/PATH, without a user or query")
		}
		r.URL = u.JoinPath(prefix).String() + "/"
	}
	for _, img := range e.Images {
		if !slices.Contains(o.Mask, img.ID) {
			r.Images = append(r.Images, image{img.ID})
		}
	}
	for tag, id := range e.Tags {
		if slices.Contains(o.Mask, id) {
			return nil, regcred.Errorf(regcred.Invalid, "the tag %.128q is for %s, which the mask leaves to its owner: an image cannot be tagged that is not hosted", tag, id)
		}
	}
	data, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("making %s.json: %w", prefix, err)
	}
	return append(data, '\n'), nil
}
