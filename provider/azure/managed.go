package azure

import (
	"bytes"
	"context"
	"io"
	"net/http"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"

	"regcred.dev"
	"regcred.dev/internal/web"
	"regcred.dev/provider/internal/bearer"
)

// managedToken obtains an access token for the registries by the machine's managed
// identity. Azure's own library knows where each of Azure's services has it: the
// instance metadata service, App Service, Arc, Machine Learning and Cloud Shell.
func (p *Provider) managedToken(ctx context.Context, s settings) (regcred.Secret, error) {
	t := &transporter{client: web.New(web.Options{Transport: p.machine})}
	options := &azidentity.ManagedIdentityCredentialOptions{ClientOptions: azcore.ClientOptions{
		Transport: t,
		Retry:     policy.RetryOptions{MaxRetries: -1},
	}}
	if s.client != "" {
		options.ID = azidentity.ClientID(s.client)
	}
	credential, err := azidentity.NewManagedIdentityCredential(options)
	if err != nil {
		return regcred.Secret{}, regcred.Errorf(regcred.Invalid, "the server's managed identity cannot be used: %w", err)
	}
	token, err := credential.GetToken(ctx, policy.TokenRequestOptions{
		Scopes: []string{s.audience + "/.default"},
		// The library keeps the tokens of managed identities for all of a process,
		// for up to a day. With claims, which it does not send, it asks anew.
		Claims: "{}",
	})
	if err != nil {
		return regcred.Secret{}, t.explain()
	}
	if !bearer.IsToken(token.Token) {
		return regcred.Secret{}, t.garbage()
	}
	return regcred.NewSecret(token.Token), nil
}

// transporter hands the library's requests to a web.Client, and notes the newest
// answer: the library's errors hold its body, which may be a token.
// It implements azcore's policy.Transporter for one use at a time.
type transporter struct {
	client *web.Client
	host   string // that was asked last, "" where none was
	answer web.Answer
	err    error
}

// Do implements policy.Transporter.
func (t *transporter) Do(req *http.Request) (*http.Response, error) {
	t.host = req.URL.Host
	t.answer, t.err = t.client.Do(req)
	if t.err != nil {
		return nil, t.err
	}
	return &http.Response{
		Status: http.StatusText(t.answer.Status), StatusCode: t.answer.Status,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: t.answer.Header, Body: io.NopCloser(bytes.NewReader(t.answer.Body)),
		ContentLength: int64(len(t.answer.Body)), Request: req,
	}, nil
}

// explain says why there is no token, after the library failed.
func (t *transporter) explain() error {
	switch {
	case t.err != nil && regcred.CodeOf(t.err) == regcred.Unavailable:
		return regcred.Errorf(regcred.Unavailable, "%w: does this server run in Azure, with a managed identity?", t.err)
	case t.err != nil:
		return t.err
	case t.host == "":
		return regcred.Errorf(regcred.Unavailable, "what this machine has for its managed identity cannot be used: look for wrong variables IDENTITY_ENDPOINT, MSI_ENDPOINT")
	}
	detail := ""
	switch t.answer.Status {
	case http.StatusBadRequest:
		detail = "this machine has no such managed identity: assign it one, or correct the setting client-id"
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound:
		detail = "the credential brings no identity, and this machine has none to give: does this server run in Azure, with a managed identity? Else set client-secret, client-certificate or federated-token-file"
	}
	if err := t.answer.Err(detail); err != nil {
		return err
	}
	return t.garbage()
}

func (t *transporter) garbage() error {
	return regcred.Errorf(regcred.Unavailable, "%s gives no access token for the managed identity that can be used", t.host)
}
