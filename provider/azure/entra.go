package azure

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"regcred.dev"
	"regcred.dev/internal/web"
)

// assertionType says that an assertion is a JSON Web Token (RFC 7523, section 2.2).
const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// entraToken obtains an access token for the registries from Entra ID, by the OAuth
// 2.0 client credentials flow of the Microsoft identity platform. The secret goes
// to the authority's own host: no discovery document is asked for another.
func (p *Provider) entraToken(ctx context.Context, s settings) (regcred.Secret, error) {
	client, done := p.client(s.authorityRoots)
	defer done()
	answer, err := requestToken(ctx, client, s, time.Now())
	if s.kind == byCertificate && regcred.CodeOf(err) == regcred.Denied && answer.Skew != 0 {
		// What was signed has a time in it: once more, by Entra ID's clock.
		answer, err = requestToken(ctx, client, s, time.Now().Add(answer.Skew))
	}
	if err != nil {
		return regcred.Secret{}, err
	}
	token, err := readToken(answer.Body, "access_token")
	if err != nil {
		return regcred.Secret{}, regcred.Errorf(regcred.Unavailable, "%s gives no access token: %w", s.authority.Host, err)
	}
	return token, nil
}

// requestToken asks once. now is the time by Entra ID's clock, as far as known.
func requestToken(ctx context.Context, client *web.Client, s settings, now time.Time) (web.Answer, error) {
	endpoint := s.authority.JoinPath(s.tenant, "oauth2/v2.0/token").String()
	f := form{{"client_id", s.client}, {"scope", s.audience + "/.default"}}
	switch s.kind {
	case bySecret:
		f = append(f, [2]string{"client_secret", s.secret.Reveal()})
	case byCertificate:
		assertion, err := s.certificate.assertion(s.client, endpoint, now)
		if err != nil {
			return web.Answer{}, err
		}
		f = append(f, [2]string{"client_assertion_type", assertionType}, [2]string{"client_assertion", assertion.Reveal()})
	case byWorkload:
		assertion, err := readTokenFile(s.tokenFile)
		if err != nil {
			return web.Answer{}, err
		}
		f = append(f, [2]string{"client_assertion_type", assertionType}, [2]string{"client_assertion", assertion.Reveal()})
	case byServer, byManaged:
		return web.Answer{}, fmt.Errorf("azure: kind %d of identity is not for Entra ID", s.kind)
	}
	f = append(f, [2]string{"grant_type", "client_credentials"})
	answer, err := post(ctx, client, endpoint, f)
	if err != nil {
		return answer, err
	}
	return answer, answer.Err(entraDetail(answer.Body))
}

// entraCodes says what Entra ID's error codes mean here ("Microsoft Entra
// authentication and authorization error codes"). They are for people alone:
// nothing depends on them.
var entraCodes = map[int]string{
	70021:   "no federated identity credential of the application trusts the token's issuer, subject and audience",
	90002:   "there is no such tenant in this cloud: correct the setting tenant-id or cloud",
	500011:  "the tenant does not know the audience: correct the setting audience, or the tenant",
	700016:  "the tenant has no such application: correct the setting client-id or tenant-id",
	700024:  "the assertion is not valid at this time: compare this machine's clock, or renew the federated token",
	700027:  "the certificate is not the application's, or has expired: upload it to the application",
	700211:  "no federated identity credential of the application trusts the token's issuer",
	700212:  "no federated identity credential of the application trusts the token's audience",
	700213:  "no federated identity credential of the application trusts the token's subject",
	900023:  "the setting tenant-id is neither a tenant's id nor its domain",
	7000112: "the application is disabled",
	7000215: "the client secret is wrong: the setting client-secret needs the secret's value, not its id",
	7000222: "the client secret has expired: create another",
	7000229: "the application has no service principal in this tenant: create one",
}

// entraDetail says why Entra ID refused, in words of its own code and ours: what it
// says itself is not shown, since it may quote the request.
func entraDetail(body []byte) string {
	var refusal struct {
		Codes []int `json:"error_codes"`
	}
	if err := json.Unmarshal(body, &refusal); err != nil || len(refusal.Codes) == 0 {
		return ""
	}
	code := refusal.Codes[0]
	words, ok := entraCodes[code]
	if !ok {
		words = fmt.Sprintf("look it up at https://login.microsoftonline.com/error?code=%d", code)
	}
	return fmt.Sprintf("AADSTS%d: %s", code, words)
}
