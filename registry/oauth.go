package registry

import (
	"errors"
	"net/http"
	"net/url"

	"regcred.dev"
)

// maxForm bounds the body of a token request, in bytes: a password and many scopes.
const maxForm = 64 << 10

// postedForm reads the form of a token request. What stands in the URL is no part of
// it: passwords have no place in logs of proxies.
// Errors: Invalid, TooLarge.
func postedForm(w http.ResponseWriter, r *http.Request) (url.Values, error) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	err := r.ParseForm()
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
		return nil, regcred.Errorf(regcred.TooLarge, "the form has more than %d bytes", maxForm)
	}
	if err != nil {
		return nil, regcred.Errorf(regcred.Invalid, "the body is no form of type application/x-www-form-urlencoded")
	}
	return r.PostForm, nil
}

// postedLogin finds out who asks for a token by the form of the "OAuth2 Token
// Authentication" of CNCF Distribution, which follows RFC 6749: containerd sends it
// first, and docker where it has an identity token. No refresh tokens are made: a
// login is what others call so, and is taken as one.
// Errors: Invalid; those of checkPassword.
func (s *Server) postedLogin(r *http.Request, form url.Values) (access, error) {
	var login string
	switch grant := form.Get("grant_type"); grant {
	case "password":
		login = form.Get("password")
	case "refresh_token":
		login = form.Get("refresh_token")
	default:
		return access{}, regcred.Errorf(regcred.Invalid, "the grant_type is %.20q: use password or refresh_token", grant)
	}
	who, err := s.checkPassword(r.Context(), login)
	if err != nil {
		return access{}, s.badLogin(r, err)
	}
	return s.seen(r, who), nil
}
