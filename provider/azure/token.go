package azure

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"regcred.dev"
	"regcred.dev/internal/web"
	"regcred.dev/provider/internal/bearer"
)

// form is what is posted: pairs of a name and a value, in the order of the
// documentation.
type form [][2]string

// String returns the form as application/x-www-form-urlencoded.
func (f form) String() string {
	var b strings.Builder
	for i, pair := range f {
		if i > 0 {
			b.WriteByte('&')
		}
		b.WriteString(url.QueryEscape(pair[0]) + "=" + url.QueryEscape(pair[1]))
	}
	return b.String()
}

// post posts a form. Errors: as web.Client.Do.
func post(ctx context.Context, client *web.Client, to string, f form) (web.Answer, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, to, strings.NewReader(f.String()))
	if err != nil {
		return web.Answer{}, regcred.Errorf(regcred.Invalid, "the address of the issuer makes no sense")
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", "application/json")
	return client.Do(req)
}

// readToken returns the token in a field of a JSON object. An error says in words
// why there is none, and quotes nothing of the answer.
func readToken(body []byte, field string) (regcred.Secret, error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(body, &fields); err != nil {
		return regcred.Secret{}, errors.New("the answer is no JSON object")
	}
	var token string
	if err := json.Unmarshal(fields[field], &token); err != nil || token == "" {
		return regcred.Secret{}, fmt.Errorf("its field %q is missing or empty", field)
	}
	if !bearer.IsToken(token) {
		return regcred.Secret{}, fmt.Errorf("its field %q is no token", field)
	}
	return regcred.NewSecret(token), nil
}
