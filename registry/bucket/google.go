package bucket

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// Google Cloud Storage speaks S3 in its XML API, with HMAC keys, but for two things
// that matter here. It ignores If-Match and If-None-Match of writes; its own condition
// is x-goog-if-generation-match, an object's generation taking the place of its ETag,
// and it allows no header x-goog-* beside one x-amz-*. So requests are translated into
// its own dialect as they are signed, and answers back. See Google's reference of the
// XML API, "HTTP headers", "Request preconditions" and "V4 signing process".
//
// Uploads in parts know no conditions there: an object of several parts replaces one
// that is there, which has the same content where the key is a digest.

// isGoogle reports whether an endpoint is Google's.
func isGoogle(endpoint string) bool {
	u, err := url.Parse(endpoint)
	return err == nil && strings.HasSuffix("."+u.Hostname(), ".googleapis.com")
}

// googleSigner signs requests as Google wants it. It implements s3.HTTPSignerV4 and
// s3.HTTPPresignerV4.
type googleSigner struct{}

// Names of Google's V4 signing process, with an HMAC key. Any region will do.
const (
	googleAlgorithm = "GOOG4-HMAC-SHA256"
	googleScope     = "/auto/storage/goog4_request"
	googleTime      = "20060102T150405Z"
)

// SignHTTP translates and signs a request.
func (googleSigner) SignHTTP(_ context.Context, keys aws.Credentials, r *http.Request, payload, _, _ string, now time.Time, _ ...func(*v4.SignerOptions)) error {
	toGoogle(r)
	date := now.UTC().Format(googleTime)
	r.Header.Set("X-Goog-Date", date)
	r.Header.Set("X-Goog-Content-Sha256", payload)
	signed := []string{"host"}
	for name := range r.Header {
		if name = strings.ToLower(name); strings.HasPrefix(name, "x-goog-") {
			signed = append(signed, name)
		}
	}
	slices.Sort(signed)
	signature := googleSignature(keys.SecretAccessKey, googleAlgorithm, date, googleCanonical(r, signed, payload))
	r.Header.Set("Authorization", googleAlgorithm+" Credential="+keys.AccessKeyID+"/"+date[:8]+googleScope+
		", SignedHeaders="+strings.Join(signed, ";")+", Signature="+signature)
	return nil
}

// PresignHTTP returns the URL of a request with its signature.
func (googleSigner) PresignHTTP(_ context.Context, keys aws.Credentials, r *http.Request, payload, _, _ string, now time.Time, _ ...func(*v4.SignerOptions)) (string, http.Header, error) {
	date := now.UTC().Format(googleTime)
	presignGoogle(r, googleAlgorithm, keys.AccessKeyID, date)
	signature := googleSignature(keys.SecretAccessKey, googleAlgorithm, date, googleCanonical(r, []string{"host"}, payload))
	return r.URL.String() + "&X-Goog-Signature=" + signature, http.Header{}, nil
}

// presignGoogle puts all of a signature into the query but itself.
func presignGoogle(r *http.Request, algorithm, id, date string) {
	q := r.URL.Query()
	lifetime := q.Get("X-Amz-Expires")
	r.URL.RawQuery = url.Values{
		"X-Goog-Algorithm":     {algorithm},
		"X-Goog-Credential":    {id + "/" + date[:8] + googleScope},
		"X-Goog-Date":          {date},
		"X-Goog-Expires":       {lifetime},
		"X-Goog-SignedHeaders": {"host"},
	}.Encode()
}

// googleCanonical returns the canonical request, with the headers of these names in
// lower case.
func googleCanonical(r *http.Request, signed []string, payload string) string {
	host := r.Host
	if host == "" {
		host = r.URL.Host
	}
	var headers strings.Builder
	for _, name := range signed {
		value := strings.Join(r.Header.Values(name), ",")
		if name == "host" {
			value = host
		}
		headers.WriteString(name + ":" + strings.TrimSpace(value) + "\n")
	}
	query := strings.ReplaceAll(r.URL.Query().Encode(), "+", "%20")
	return strings.Join([]string{
		r.Method, r.URL.EscapedPath(), query, headers.String(), strings.Join(signed, ";"), payload,
	}, "\n")
}

// googleToSign returns what is signed of a canonical request.
func googleToSign(algorithm, date, canonical string) string {
	sum := sha256.Sum256([]byte(canonical))
	return strings.Join([]string{algorithm, date, date[:8] + googleScope, hex.EncodeToString(sum[:])}, "\n")
}

func googleSignature(secret, algorithm, date, canonical string) string {
	key := []byte("GOOG4" + secret)
	for _, part := range []string{date[:8], "auto", "storage", "goog4_request"} {
		key = hmacSHA256(key, part)
	}
	return hex.EncodeToString(hmacSHA256(key, googleToSign(algorithm, date, canonical)))
}

func hmacSHA256(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}

// toGoogle translates the headers of a request.
func toGoogle(r *http.Request) {
	inParts := r.URL.Query().Has("uploadId") || r.URL.Query().Has("uploads")
	for name, values := range r.Header {
		rest, amazon := strings.CutPrefix(name, "X-Amz-")
		switch {
		case name == "If-None-Match" && values[0] == "*":
			r.Header.Del(name)
			setUnless(inParts, r.Header, "X-Goog-If-Generation-Match", "0")
		case name == "If-Match":
			r.Header.Del(name)
			setUnless(inParts, r.Header, "X-Goog-If-Generation-Match", strings.Trim(values[0], `"`))
		case !amazon:
		case rest == "Checksum-Crc32c":
			r.Header.Del(name)
			r.Header.Set("X-Goog-Hash", "crc32c="+values[0])
		case strings.HasPrefix(rest, "Meta-"), rest == "Storage-Class", rest == "Copy-Source":
			r.Header.Del(name)
			r.Header["X-Goog-"+rest] = values
		default:
			r.Header.Del(name) // what Google does not know, or has set itself
		}
	}
}

func setUnless(not bool, h http.Header, name, value string) {
	if !not {
		h.Set(name, value)
	}
}

// fromGoogle translates the headers of an answer.
func fromGoogle(h http.Header) {
	if generation := h.Get("X-Goog-Generation"); generation != "" {
		h.Set("Etag", `"`+generation+`"`)
	}
	for name, values := range h {
		if rest, ok := strings.CutPrefix(name, "X-Goog-Meta-"); ok {
			h["X-Amz-Meta-"+rest] = values
		}
	}
}
