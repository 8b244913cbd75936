package fakeecr

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
)

// refusal is an error of AWS. Its code is that of the JSON APIs; STS has others for
// some.
type refusal struct {
	code    string
	message string
}

// signed is what a request says of its own signature (AWS General Reference,
// "Signature Version 4").
type signed struct {
	accessKeyID string
	date        string // YYYYMMDD
	region      string
	service     string
	headers     []string
	signature   string
}

const timeFormat = "20060102T150405Z"

// window is how far the time of a signature may be from AWS's.
const window = 5 * time.Minute

var authorizationPattern = regexp.MustCompile(`^AWS4-HMAC-SHA256 Credential=(\w+)/(\d{8})/([a-z0-9-]+)/([a-z0-9-]+)/aws4_request, ?SignedHeaders=([a-z0-9;-]+), ?Signature=([0-9a-f]{64})$`)

// authenticate returns who signed a request to a service.
func (s *Server) authenticate(r *http.Request, body []byte, service string) (principal, signed, *refusal) {
	m := authorizationPattern.FindStringSubmatch(r.Header.Get("Authorization"))
	if m == nil {
		return principal{}, signed{}, &refusal{"MissingAuthenticationTokenException", "Missing Authentication Token"}
	}
	by := signed{m[1], m[2], m[3], m[4], strings.Split(m[5], ";"), m[6]}
	p, known := s.find(by.accessKeyID)
	if !known || p.token != r.Header.Get("X-Amz-Security-Token") {
		return principal{}, by, &refusal{"UnrecognizedClientException", "The security token included in the request is invalid."}
	}
	if !p.expires.IsZero() && s.Now().After(p.expires) {
		return principal{}, by, &refusal{"ExpiredTokenException", "The security token included in the request is expired"}
	}
	if why := by.checkScope(r.Host, service); why != "" {
		return principal{}, by, &refusal{"InvalidSignatureException", why}
	}
	if why := by.checkTime(r.Header.Get("X-Amz-Date"), s.Now()); why != "" {
		return principal{}, by, &refusal{"InvalidSignatureException", why}
	}
	canonical, ok := by.canonical(r, body)
	if !ok || !hmac.Equal([]byte(by.sign(p.secret, r.Header.Get("X-Amz-Date"), canonical)), []byte(by.signature)) {
		return principal{}, by, &refusal{"InvalidSignatureException", "The request signature we calculated does not match the signature you provided. " +
			"Check your AWS Secret Access Key and signing method. Consult the service documentation for details.\n\n" +
			"The Canonical String for this request should have been\n'" + canonical + "'\n"}
	}
	return p, by, nil
}

// endpointPattern matches the hosts of the APIs, with their region.
var endpointPattern = regexp.MustCompile(`^(?:api\.)?(?:ecr|ecr-public|sts)(?:-fips)?\.([a-z0-9-]+)\.(?:amazonaws\.com(?:\.cn)?|amazonaws\.eu|api\.aws|api\.amazonwebservices\.com\.cn)$`)

// checkScope says what is wrong with region and service, "" where nothing is.
func (by signed) checkScope(host, service string) string {
	if m := endpointPattern.FindStringSubmatch(host); m != nil && m[1] != by.region {
		return "Credential should be scoped to a valid region."
	}
	if by.service != service {
		return "Credential should be scoped to correct service: '" + service + "'."
	}
	return ""
}

// checkTime says what is wrong with the time of a signature, "" where nothing is.
func (by signed) checkTime(date string, now time.Time) string {
	at, err := time.Parse(timeFormat, date)
	now = now.UTC().Truncate(time.Second)
	switch {
	case err != nil || date[:8] != by.date:
		return "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '" + by.date + "' != '" + date + "'."
	case at.Before(now.Add(-window)):
		return fmt.Sprintf("Signature expired: %s is now earlier than %s (%s - 5 min.)", date, now.Add(-window).Format(timeFormat), now.Format(timeFormat))
	case at.After(now.Add(window)):
		return fmt.Sprintf("Signature not yet current: %s is still later than %s (%s + 5 min.)", date, now.Add(window).Format(timeFormat), now.Format(timeFormat))
	}
	return ""
}

// canonical returns the canonical request, false where headers are not signed that
// must be: the host, and all that begin with x-amz-.
func (by signed) canonical(r *http.Request, body []byte) (string, bool) {
	for name := range r.Header {
		if lower := strings.ToLower(name); strings.HasPrefix(lower, "x-amz-") && !slices.Contains(by.headers, lower) {
			return "", false
		}
	}
	if !slices.Contains(by.headers, "host") || !slices.IsSorted(by.headers) {
		return "", false
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n%s\n%s\n", r.Method, (&url.URL{Path: r.URL.EscapedPath()}).EscapedPath(), r.URL.Query().Encode())
	for _, name := range by.headers {
		value := strings.Join(r.Header.Values(name), ",")
		switch name {
		case "host":
			value = r.Host
		case "content-length":
			value = fmt.Sprint(r.ContentLength)
		}
		fmt.Fprintf(&b, "%s:%s\n", name, strings.Join(strings.Fields(value), " "))
	}
	hash := sha256.Sum256(body)
	fmt.Fprintf(&b, "\n%s\n%s", strings.Join(by.headers, ";"), hex.EncodeToString(hash[:]))
	return b.String(), true
}

// sign returns the signature that belongs to a canonical request.
func (by signed) sign(secret, date, canonical string) string {
	hash := sha256.Sum256([]byte(canonical))
	scope := by.date + "/" + by.region + "/" + by.service + "/aws4_request"
	text := "AWS4-HMAC-SHA256\n" + date + "\n" + scope + "\n" + hex.EncodeToString(hash[:])
	key := []byte("AWS4" + secret)
	for _, part := range []string{by.date, by.region, by.service, "aws4_request", text} {
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(part))
		key = mac.Sum(nil)
	}
	return hex.EncodeToString(key)
}
