package google

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/google/externalaccount"

	"regcred.dev"
	"regcred.dev/internal/web"
)

// federated exchanges another identity's proof for a token (RFC 8693, by Google's
// Security Token Service). golang.org/x/oauth2/google/externalaccount obtains that
// proof, from a file, a URL, a program or AWS, and asks; the answers are read here,
// because the library loses their status and shows their text.
type federated struct {
	client *web.Client
	doc    *document
	url    string
}

// token implements identity.
func (f federated) token(ctx context.Context, scopes []string) (token, error) {
	seen := &witness{client: f.client, url: f.url, secret: f.doc.ClientSecret}
	ctx = context.WithValue(ctx, oauth2.HTTPClient, &http.Client{Transport: seen})
	source, err := externalaccount.NewTokenSource(ctx, externalaccount.Config{
		Audience:                 f.doc.Audience,
		SubjectTokenType:         f.doc.SubjectTokenType,
		TokenURL:                 f.url,
		ClientID:                 f.doc.ClientID,
		ClientSecret:             f.doc.ClientSecret,
		CredentialSource:         &f.doc.CredentialSource,
		WorkforcePoolUserProject: f.doc.WorkforcePoolUserProject,
		Scopes:                   scopes,
	})
	if err != nil {
		return token{}, regcred.Errorf(regcred.Invalid, "the configuration of workload identity federation: %s", bare(err))
	}
	_, err = source.Token()
	switch {
	case seen.err != nil:
		return token{}, seen.err
	case seen.answer != nil:
		return readToken(*seen.answer, hostOf(f.url), seen.asked)
	case ctx.Err() != nil:
		return token{}, ctx.Err()
	}
	return token{}, f.noProof(err)
}

// noProof is an error for a proof of identity that the library did not get, before
// anything was asked. What a program wrote may hold a secret, and is not shown.
func (f federated) noProof(err error) error {
	if f.doc.CredentialSource.Executable != nil {
		return regcred.Errorf(regcred.Unavailable, "the program that the credential_source names gave no proof of identity: it must succeed, write what Google's AIP-4117 asks for, and be allowed by GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES=1 in the server's environment")
	}
	return regcred.Errorf(regcred.Unavailable, "the credential_source gave no proof of identity: %s", bare(err))
}

// bare is the text of one of the library's errors, without its prefix.
func bare(err error) string {
	if err == nil {
		return "it is empty"
	}
	return strings.TrimPrefix(err.Error(), "oauth2/google/externalaccount: ")
}

// witness is a transport over a web.Client, for one token. It keeps what the token
// endpoint answered and when it was asked, and the first failure.
type witness struct {
	client *web.Client
	url    string // the token endpoint
	secret string // sent to it beside the proof

	asked  time.Time
	answer *web.Answer
	err    error
}

// RoundTrip implements http.RoundTripper. Whatever is no success is an error, a
// redirect too.
func (w *witness) RoundTrip(req *http.Request) (*http.Response, error) {
	issuer := req.URL.String() == w.url
	proof, asked := proofOf(req), time.Now()
	answer, err := w.client.Do(req)
	if err == nil {
		err = refusal(answer, "the external account", proof, w.secret)
	}
	if err != nil && !issuer {
		err = fmt.Errorf("the credential_source's %w", err)
	}
	if err != nil {
		w.err = cmp.Or(w.err, err)
		return nil, err
	}
	if issuer {
		w.answer, w.asked = &answer, asked
	}
	return &http.Response{
		Status: http.StatusText(answer.Status), StatusCode: answer.Status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: answer.Header, Body: io.NopCloser(bytes.NewReader(answer.Body)), Request: req,
	}, nil
}

// proofOf returns the proof of identity that a request to the token endpoint sends:
// an answer may quote it.
func proofOf(req *http.Request) string {
	if req.GetBody == nil {
		return ""
	}
	body, err := req.GetBody()
	if err != nil {
		return ""
	}
	text, err := io.ReadAll(body)
	if err != nil {
		return ""
	}
	form, err := url.ParseQuery(string(text))
	if err != nil {
		return ""
	}
	return form.Get("subject_token")
}
