package rancher

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"regcred.dev"
	"regcred.dev/internal/web"
)

const (
	// requestTimeout bounds one request with its answer.
	requestTimeout = time.Minute
	// maxBody bounds an answer, in bytes: a page of 100 resources, or the schemas of
	// some hundred types.
	maxBody = 32 << 20
)

// endpoint is an API of Rancher, at the URL that the operator named.
//
// Links in answers are followed by their path and query alone, always at the
// operator's own host: they name what Rancher takes for its address, which may be
// another one behind a proxy, and the API key must go nowhere else.
type endpoint struct {
	web  *web.Client
	base *url.URL
	// authorize adds what says who asks.
	authorize func(*http.Request)
}

// answer is an error as both of Rancher's APIs tell it.
type answer struct {
	Type      string `json:"type"`
	Code      string `json:"code"`
	FieldName string `json:"fieldName"`
}

// codePattern is what a code of Rancher's looks like, such as ServerAddressUsed:
// anything else may be a stranger's text, and is not shown.
var codePattern = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9.]{1,60}$`)

// refusal is an answer that is no success. It is reached by errors.AsType, behind the
// words that say what it means.
type refusal struct {
	status int
	code   string
	field  string
	err    error
}

func (r *refusal) Error() string { return r.err.Error() }
func (r *refusal) Unwrap() error { return r.err }

// call sends a request to a path, or to a link, and reads the answer into out, which
// may be nil. in is sent as JSON unless it is nil.
//
// Errors: Unavailable where there is no answer, or none that is Rancher's; a *refusal
// where it refuses; ctx's.
func (e endpoint) call(ctx context.Context, method, link string, in, out any) (http.Header, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	req, err := e.request(ctx, method, link, in)
	if err != nil {
		return nil, err
	}
	got, err := e.web.Do(req)
	if err != nil {
		return nil, err
	}
	if got.Status < 200 || got.Status > 299 {
		return nil, e.refused(got)
	}
	if out == nil {
		return got.Header, nil
	}
	if err := json.Unmarshal(got.Body, out); err != nil {
		return nil, regcred.Errorf(regcred.Unavailable, "%s answers with something that is no JSON: what is there may be a proxy or a sign-in page in front of Rancher", e.base.Host)
	}
	return got.Header, nil
}

func (e endpoint) request(ctx context.Context, method, link string, in any) (*http.Request, error) {
	to, err := e.at(link)
	if err != nil {
		return nil, err
	}
	var body []byte
	if in != nil {
		if body, err = json.Marshal(in); err != nil {
			return nil, err
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, to.String(), bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/json") // without it Rancher's root is a page for browsers
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	e.authorize(req)
	return req, nil
}

// at returns the URL of a link, or of a path, at the operator's host.
func (e endpoint) at(link string) (*url.URL, error) {
	u, err := url.Parse(link)
	if err != nil || !strings.HasPrefix(u.Path, "/") {
		return nil, regcred.Errorf(regcred.Unavailable, "%s answers with a link that makes no sense", e.base.Host)
	}
	to := *e.base
	to.Path, to.RawPath, to.RawQuery = u.Path, u.RawPath, u.RawQuery
	return &to, nil
}

// refused returns the error of an answer that is no success.
func (e endpoint) refused(got web.Answer) error {
	r := &refusal{status: got.Status}
	var said answer
	if json.Unmarshal(got.Body, &said) == nil && said.Type == "error" && codePattern.MatchString(said.Code) {
		r.code = said.Code
		if codePattern.MatchString(said.FieldName) {
			r.field = said.FieldName
		}
	}
	if got.Status == http.StatusConflict {
		r.err = regcred.Errorf(regcred.Unavailable, "%s is still busy with it (status 409)", e.base.Host)
		return r
	}
	r.err = got.Err(strings.TrimSpace(r.code + " " + r.field))
	return r
}
