package bucket

import (
	"cmp"
	"log/slog"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"regcred.dev"
	"regcred.dev/registry"
)

// Options say where a bucket is, and how to use it. Bucket is required.
type Options struct {
	// Bucket is its name.
	Bucket string
	// Prefix is what the keys of all objects begin with, followed by a slash:
	// segments as registry.CheckKey allows. "" is the whole bucket.
	Prefix string
	// Region is that of the bucket. Default: that of the SDK's chain of environment
	// and files where no access key is given; else "us-east-1" with an Endpoint, and
	// none without.
	Region string
	// Endpoint is the URL of the server, without a path. Default: that of AWS in the
	// region. Google's, https://storage.googleapis.com, takes HMAC keys.
	Endpoint string
	// PathStyle has the bucket's name in the path of a URL, not in its host. Servers
	// other than AWS often want it.
	PathStyle bool

	// AccessKeyID, SecretAccessKey and, for keys that expire, SessionToken identify
	// the caller. Default: the SDK's chain of environment, files and the machine's
	// own role.
	AccessKeyID     string
	SecretAccessKey regcred.Secret
	SessionToken    regcred.Secret

	// CA has certificates, as PEM, that are trusted besides the system's.
	CA []byte

	// SSE is how objects are encrypted: "AES256" or "aws:kms"; "" is how the bucket
	// says. KMSKeyID is the key of the latter; "" is the bucket's or the account's.
	SSE      string
	KMSKeyID string
	// StorageClass is that of objects, such as "STANDARD_IA"; "" is the standard one.
	StorageClass string

	// PublicEndpoint is Endpoint as clients of the registry reach it, which the URLs
	// of Locate are for. Default: Endpoint.
	PublicEndpoint string

	// PartSize is how many bytes of a large object go in one request; those above
	// 10,000 times that take larger ones. Default: 8 MiB, at least 5 MiB.
	PartSize int64
	// Concurrency is how many parts are sent at once, all writes of the Bucket taken
	// together: what waits in memory is PartSize times that. Default: 3.
	Concurrency int

	// Spool keeps uploads until they are committed, when their digest and so their
	// key is known; a registry/blob.Dir is one. Without it there are no uploads.
	Spool Spool

	// Log hears what is odd, and what is tried again. Nil discards it.
	Log *slog.Logger
	// Backoff is the mean wait before a request is tried again the first time; it
	// doubles from then on. Default: 200 ms.
	Backoff time.Duration
	// Transport carries the requests. Default: one that gives up on a connection which
	// is silent for two minutes.
	Transport http.RoundTripper
}

// Bounds that S3 sets, in bytes and parts.
const (
	minPart   = 5 << 20
	maxPart   = 5 << 30
	maxParts  = 10_000
	maxObject = 5 << 40
)

// What stands for options that are not given.
const (
	defaultPartSize    = 8 << 20
	defaultConcurrency = 3
	defaultBackoff     = 200 * time.Millisecond
)

// bucketName is what AWS has allowed, now and in earlier times.
var bucketName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{1,253}[A-Za-z0-9]$`)

// complete returns the options with their defaults. Errors: Invalid.
func (o Options) complete() (Options, error) {
	if !bucketName.MatchString(o.Bucket) {
		return o, regcred.Errorf(regcred.Invalid, "%q is no bucket: give the name alone, such as \"acme-images\"", o.Bucket)
	}
	if o.Prefix != "" && registry.CheckKey(o.Prefix) != nil {
		return o, regcred.Errorf(regcred.Invalid, "prefix %q of bucket %s: it has segments of letters, digits and -._+, with a slash between two", o.Prefix, o.Bucket)
	}
	if (o.AccessKeyID == "") != o.SecretAccessKey.IsZero() {
		return o, regcred.Errorf(regcred.Invalid, "bucket %s: give an access key id and its secret, or neither", o.Bucket)
	}
	if isGoogle(o.Endpoint) && o.AccessKeyID == "" {
		return o, regcred.Errorf(regcred.Invalid, "bucket %s: Google's XML API takes HMAC keys: give an access key id and its secret", o.Bucket)
	}
	for _, endpoint := range []string{o.Endpoint, o.PublicEndpoint} {
		if err := checkEndpoint(endpoint); err != nil {
			return o, err
		}
	}
	if o.AccessKeyID != "" && o.Region == "" {
		if o.Endpoint == "" {
			return o, regcred.Errorf(regcred.Invalid, "bucket %s: give its region, such as \"eu-central-1\"", o.Bucket)
		}
		o.Region = "us-east-1"
	}
	switch {
	case o.SSE != "" && o.SSE != "AES256" && o.SSE != "aws:kms":
		return o, regcred.Errorf(regcred.Invalid, "bucket %s: encryption is \"AES256\" or \"aws:kms\", not %q", o.Bucket, o.SSE)
	case o.KMSKeyID != "" && o.SSE != "aws:kms":
		return o, regcred.Errorf(regcred.Invalid, "bucket %s: a KMS key needs the encryption \"aws:kms\"", o.Bucket)
	case o.SSE != "" && isGoogle(o.Endpoint):
		return o, regcred.Errorf(regcred.Invalid, "bucket %s: Google encrypts all objects, with the bucket's default key where that has one: leave the encryption out", o.Bucket)
	case o.PartSize != 0 && (o.PartSize < minPart || o.PartSize > maxPart):
		return o, regcred.Errorf(regcred.Invalid, "bucket %s: parts have %d to %d bytes, not %d", o.Bucket, int64(minPart), int64(maxPart), o.PartSize)
	case o.Concurrency < 0:
		return o, regcred.Errorf(regcred.Invalid, "bucket %s: %d parts cannot be sent at once", o.Bucket, o.Concurrency)
	}
	o.PublicEndpoint = cmp.Or(o.PublicEndpoint, o.Endpoint)
	o.PartSize = cmp.Or(o.PartSize, defaultPartSize)
	o.Concurrency = cmp.Or(o.Concurrency, defaultConcurrency)
	o.Backoff = cmp.Or(o.Backoff, defaultBackoff)
	o.Log = cmp.Or(o.Log, slog.New(slog.DiscardHandler))
	return o, nil
}

// checkEndpoint returns an Invalid error where an endpoint is given and is none.
func checkEndpoint(endpoint string) error {
	if endpoint == "" {
		return nil
	}
	u, err := url.Parse(endpoint)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" ||
		u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" {
		return regcred.Errorf(regcred.Invalid, "an S3 endpoint is http(s)://HOST[:PORT] and nothing else")
	}
	return nil
}
