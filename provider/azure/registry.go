package azure

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"regexp"
	"time"

	"regcred.dev"
	"regcred.dev/internal/web"
	"regcred.dev/provider/internal/bearer"
	"regcred.dev/provider/internal/jwt"
)

// login is a token of the registry's own.
type login struct {
	token   regcred.Secret
	expires time.Time // by this machine's clock
}

// exchange gives the registry an access token of Entra ID for a refresh token of
// its own: POST /oauth2/exchange.
func exchange(ctx context.Context, client *web.Client, s settings, entra regcred.Secret) (login, error) {
	f := form{{"grant_type", "access_token"}, {"service", s.registry}}
	if s.tenant != "" {
		f = append(f, [2]string{"tenant", s.tenant})
	}
	f = append(f, [2]string{"access_token", entra.Reveal()})
	return ask(ctx, client, s, "/oauth2/exchange", f, "refresh_token")
}

// limit gives the registry its refresh token for an access token that allows the
// scopes alone: POST /oauth2/token.
func limit(ctx context.Context, client *web.Client, s settings, refresh regcred.Secret) (login, error) {
	f := form{{"grant_type", "refresh_token"}, {"service", s.registry}}
	for _, scope := range s.scopes {
		f = append(f, [2]string{"scope", scope})
	}
	f = append(f, [2]string{"refresh_token", refresh.Reveal()})
	return ask(ctx, client, s, "/oauth2/token", f, "access_token")
}

// ask posts a form to the registry and reads a token and its expiry.
func ask(ctx context.Context, client *web.Client, s settings, path string, f form, field string) (login, error) {
	answer, err := post(ctx, client, "https://"+s.registry+path, f)
	if dns, ok := errors.AsType[*net.DNSError](err); ok && dns.IsNotFound {
		return login{}, regcred.Errorf(regcred.Unavailable, "%w: there is no registry of that name, or this network does not know its private endpoint", err)
	}
	if err != nil {
		return login{}, err
	}
	if err := answer.Err(registryDetail(answer, s)); err != nil {
		return login{}, err
	}
	garbage := func(err error) error {
		return regcred.Errorf(regcred.Unavailable, "%s gives no token that can be used: %w", s.registry, err)
	}
	token, err := readToken(answer.Body, field)
	if err != nil {
		return login{}, garbage(err)
	}
	expires, err := jwt.ExpiryOf(token.Reveal())
	if expires = expires.Add(-answer.Skew); err == nil {
		err = bearer.CheckExpiry(expires, time.Now())
	}
	if err != nil {
		return login{}, garbage(err)
	}
	return login{token: token, expires: expires}, nil
}

// errorCode is the form of a registry's error codes (OCI Distribution
// Specification, "Error Codes").
var errorCode = regexp.MustCompile(`^[A-Z_]{1,40}$`)

// registryDetail says why the registry refused, in its own code and words of ours:
// what it says itself is not shown, since it may quote the request.
func registryDetail(answer web.Answer, s settings) string {
	var refusal struct {
		Errors []struct {
			Code string `json:"code"`
		} `json:"errors"`
	}
	detail := ""
	if err := json.Unmarshal(answer.Body, &refusal); err == nil && len(refusal.Errors) > 0 && errorCode.MatchString(refusal.Errors[0].Code) {
		detail = refusal.Errors[0].Code + ": "
	}
	switch answer.Status {
	case http.StatusUnauthorized:
		detail += "the identity has no role such as AcrPull on this registry, or its tenant is not the one of the registry's subscription"
		if s.audience != defaultAudience {
			detail += ", or the registry does not accept tokens for Azure Resource Manager (az acr config authentication-as-arm show)"
		}
	case http.StatusForbidden:
		detail += "the registry's firewall may not allow this server's address, or the identity not what the setting scope asks for"
	case http.StatusNotFound:
		detail += "this is no login server of Azure Container Registry"
	case http.StatusBadRequest:
		detail += "the registry does not take the request: correct the settings tenant-id and scope"
	default:
		return ""
	}
	return detail
}
