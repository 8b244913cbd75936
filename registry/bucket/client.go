package bucket

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/ratelimit"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go/logging"

	"regcred.dev"
)

// newClients returns a client of the endpoint, and one that presigns for the public
// endpoint.
func newClients(ctx context.Context, o Options) (*s3.Client, *s3.PresignClient, error) {
	identity, err := identify(ctx, o)
	if err != nil {
		return nil, nil, err
	}
	transport := o.Transport
	if transport == nil {
		if transport, err = newTransport(o.CA); err != nil {
			return nil, nil, err
		}
	}
	client := s3.NewFromConfig(identity, func(s *s3.Options) {
		s.UsePathStyle = o.PathStyle
		s.HTTPClient = &httpClient{Client: http.Client{Transport: transport, CheckRedirect: stay}, google: isGoogle(o.Endpoint)}
		if isGoogle(o.Endpoint) {
			s.HTTPSignerV4 = googleSigner{}
		}
		s.Retryer = newRetryer(o)
		// Checksums that are asked for explicitly are enough; those that the SDK adds
		// by itself, many servers do not know.
		s.RequestChecksumCalculation = aws.RequestChecksumCalculationWhenRequired
		s.ResponseChecksumValidation = aws.ResponseChecksumValidationWhenRequired
		if o.Endpoint != "" {
			s.BaseEndpoint = aws.String(o.Endpoint)
		}
	})
	public := s3.New(client.Options(), func(s *s3.Options) {
		if o.PublicEndpoint != "" {
			s.BaseEndpoint = aws.String(o.PublicEndpoint)
		}
	})
	return client, s3.NewPresignClient(public, func(p *s3.PresignOptions) {
		if isGoogle(o.Endpoint) {
			p.Presigner = googleSigner{}
		}
	}), nil
}

// identify returns who asks, and where. Errors: Invalid.
func identify(ctx context.Context, o Options) (aws.Config, error) {
	if o.AccessKeyID != "" {
		return aws.Config{
			Region:      o.Region,
			Credentials: credentials.NewStaticCredentialsProvider(o.AccessKeyID, o.SecretAccessKey.Reveal(), o.SessionToken.Reveal()),
		}, nil
	}
	load := []func(*config.LoadOptions) error{config.WithLogger(logging.Nop{})} // errors say it all
	if o.Region != "" {
		load = append(load, config.WithRegion(o.Region))
	}
	c, err := config.LoadDefaultConfig(ctx, load...)
	if err != nil {
		return c, regcred.Errorf(regcred.Invalid, "bucket %s: the configuration of AWS in environment and files: %w", o.Bucket, err)
	}
	if c.Region == "" {
		if o.Endpoint == "" {
			return c, regcred.Errorf(regcred.Invalid, "bucket %s: give its region, such as \"eu-central-1\"", o.Bucket)
		}
		c.Region = "us-east-1"
	}
	c.Credentials = chain{c.Credentials}
	return c, nil
}

// chain is where the SDK looks for a login. What it finds is kept by the SDK's own cache.
type chain struct{ aws.CredentialsProvider }

// Retrieve implements aws.CredentialsProvider. Errors: loginError.
func (c chain) Retrieve(ctx context.Context) (aws.Credentials, error) {
	found, err := c.CredentialsProvider.Retrieve(ctx)
	if err != nil {
		return found, &loginError{err}
	}
	return found, nil
}

// loginError says that there is no login.
type loginError struct{ error }

func (e *loginError) Unwrap() error { return e.error }

// stay follows no redirect: S3 answers with one where the region is another, and a
// signature is for one host alone.
func stay(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// httpClient counts answers that do not tell whether a request was carried out, for
// those who want to know.
type httpClient struct {
	http.Client
	google bool
}

// Do implements s3.HTTPClient.
func (c *httpClient) Do(r *http.Request) (*http.Response, error) {
	resp, err := c.Client.Do(r)
	if n, ok := r.Context().Value(unclearKey{}).(*int); ok && (err != nil || unclear(resp.StatusCode)) {
		*n++
	}
	if err == nil && c.google {
		fromGoogle(resp.Header)
	}
	return resp, err
}

// unclear reports whether a request with an answer may have been carried out, if it is
// sent again: also where the answer says so but its body breaks off.
func unclear(status int) bool {
	refused := status/100 == 4 || status == http.StatusServiceUnavailable
	return !refused
}

type unclearKey struct{}

// countUnclear returns a context in which the unclear answers of one call are counted.
func countUnclear(ctx context.Context) (context.Context, *int) {
	n := new(int)
	return context.WithValue(ctx, unclearKey{}, n), n
}

// attempts is how often a request is sent before it fails.
const attempts = 6

// maxBackoff bounds the mean wait before a request is tried again.
const maxBackoff = 5 * time.Second

// newRetryer returns what decides whether a request is tried again, and when.
func newRetryer(o Options) aws.Retryer {
	standard := retry.NewStandard(func(s *retry.StandardOptions) {
		s.MaxAttempts = attempts
		s.Backoff = retry.BackoffDelayerFunc(func(attempt int, err error) (time.Duration, error) {
			return backoff(o.Backoff, attempt, throttled(err)), nil
		})
		// A fixed number of attempts and the waits between them are bound enough.
		s.RateLimiter = ratelimit.None
		s.Retryables = append(s.Retryables, retry.IsErrorRetryableFunc(brokenOff))
	})
	return retry.AddWithErrorCodes(standard,
		"ConditionalRequestConflict", "OperationAborted", // another write of the key goes on
		"BadDigest", "XAmzContentSHA256Mismatch", "IncompleteBody", // changed on its way
		"InternalError", "ServiceUnavailable", "SlowDown", "TooManyRequests",
	)
}

// brokenOff reports whether an answer ended before it was whole.
func brokenOff(err error) aws.Ternary {
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return aws.TrueTernary
	}
	return aws.UnknownTernary
}

// backoff returns how long to wait before an attempt, the first being 1: between half
// and one and a half times a mean that doubles, and is four times as long where the
// server wants to be asked less often.
func backoff(first time.Duration, attempt int, throttled bool) time.Duration {
	mean := first << min(max(attempt-1, 0), 16)
	if throttled {
		mean *= 4
	}
	mean = min(mean, maxBackoff)
	return mean/2 + rand.N(mean)
}

// silence is how long a connection may be without a byte in either direction while
// something is expected of it.
const silence = 2 * time.Minute

// newTransport returns a transport that trusts certificates besides the system's.
// Errors: Invalid.
func newTransport(ca []byte) (*http.Transport, error) {
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if len(ca) > 0 && !pool.AppendCertsFromPEM(ca) {
		return nil, regcred.Errorf(regcred.Invalid, "the CA of the S3 endpoint has no certificate: give a PEM file")
	}
	dialer := &net.Dialer{Timeout: 10 * time.Second}
	return &http.Transport{
		Proxy: http.ProxyFromEnvironment,
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := dialer.DialContext(ctx, network, address)
			if err != nil {
				return nil, err
			}
			return &impatientConn{conn}, nil
		},
		TLSClientConfig:     &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout: 10 * time.Second,
		MaxIdleConnsPerHost: 64,
		IdleConnTimeout:     time.Minute,
		WriteBufferSize:     64 << 10,
		ReadBufferSize:      64 << 10,
		DisableCompression:  true, // it would add a header to what was signed
	}, nil
}

// impatientConn fails where nothing goes over it for as long as silence.
type impatientConn struct{ net.Conn }

func (c *impatientConn) Read(p []byte) (int, error) {
	if err := c.SetDeadline(time.Now().Add(silence)); err != nil {
		return 0, err
	}
	return c.Conn.Read(p)
}

func (c *impatientConn) Write(p []byte) (int, error) {
	if err := c.SetDeadline(time.Now().Add(silence)); err != nil {
		return 0, err
	}
	return c.Conn.Write(p)
}
