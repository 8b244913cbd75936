package google_test

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"regcred.dev"
	"regcred.dev/regcredtest/fakegoogle"
)

// shape is what of a request is documented. What net/http adds is left out.
func shape(r *http.Request, body string) []string {
	lines := []string{r.Method + " https://" + r.Host + r.URL.RequestURI()}
	for _, name := range []string{"Authorization", "Content-Type", "Accept", "Metadata-Flavor"} {
		if value := r.Header.Get(name); value != "" {
			lines = append(lines, name+": "+value)
		}
	}
	return append(lines, body)
}

// last returns the newest request's shape, with each secret in angle brackets.
func (w *world) last(secrets ...string) []string {
	r, body := w.google.Request()
	return strings.Split(strings.NewReplacer(secrets...).Replace(strings.Join(shape(r, body), "\n")), "\n")
}

// TestRequestOfKey holds the request, and the JWT in it, against Google's "Using
// OAuth 2.0 for Server to Server Applications".
func TestRequestOfKey(t *testing.T) {
	w := newWorld(t, fakegoogle.Options{})
	w.bubble(func(w *world) { w.mint(w.keyed(), puller, fakegoogle.ScopeReadOnly) })
	_, body := w.google.Request()
	form, err := url.ParseQuery(body)
	if err != nil {
		t.Fatal(err)
	}
	assertion := form.Get("assertion")
	want := []string{
		"POST https://oauth2.googleapis.com/token",
		"Content-Type: application/x-www-form-urlencoded",
		"Accept: application/json",
		"assertion=<jwt>&grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer",
	}
	if diff := cmp.Diff(want, w.last(assertion, "<jwt>")); diff != "" {
		t.Error(diff)
	}
	parts := strings.Split(assertion, ".")
	for i, part := range []string{
		`{"alg":"RS256","kid":"` + w.key.PrivateKeyID + `","typ":"JWT"}`,
		`{"iss":"puller@project.iam.gserviceaccount.com","scope":"https://www.googleapis.com/auth/devstorage.read_only",` +
			`"aud":"https://oauth2.googleapis.com/token","exp":946688390,"iat":946684790}`,
	} {
		if text, err := base64.RawURLEncoding.DecodeString(parts[i]); err != nil || string(text) != part {
			t.Errorf("part %d of the JWT is\n%s, want\n%s", i, text, part)
		}
	}
}

// TestRequestOfUser holds the request against RFC 6749, section 6.
func TestRequestOfUser(t *testing.T) {
	w := newWorld(t, fakegoogle.Options{})
	w.addUser()
	w.mint(credential(location, "credentials-file", file(t, userFile)), "user@example.com", fakegoogle.ScopeCloud)
	want := []string{
		"POST https://oauth2.googleapis.com/token",
		"Content-Type: application/x-www-form-urlencoded",
		"Accept: application/json",
		"client_id=764086051850.apps.googleusercontent.com&client_secret=d-canary-client-secret&grant_type=refresh_token&refresh_token=1%2F%2Fcanary-refresh-token",
	}
	if diff := cmp.Diff(want, w.last()); diff != "" {
		t.Error(diff)
	}
}

// TestRequestOfFederation holds the request against the Security Token Service's
// method token.
func TestRequestOfFederation(t *testing.T) {
	w := newWorld(t, fakegoogle.Options{})
	w.addProof()
	w.mint(credential(location, "federation", federation(fileSource(file(t, subjectToken)))), federatedWho, fakegoogle.ScopeReadOnly)
	want := []string{
		"POST https://sts.googleapis.com/v1/token",
		"Content-Type: application/x-www-form-urlencoded",
		"audience=%2F%2Fiam.googleapis.com%2Fprojects%2F123456%2Flocations%2Fglobal%2FworkloadIdentityPools%2Fpool%2Fproviders%2Fprovider" +
			"&grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange" +
			"&requested_token_type=urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Aaccess_token" +
			"&scope=https%3A%2F%2Fwww.googleapis.com%2Fauth%2Fdevstorage.read_only" +
			"&subject_token=<proof>&subject_token_type=urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Ajwt",
	}
	if diff := cmp.Diff(want, w.last(subjectToken, "<proof>")); diff != "" {
		t.Error(diff)
	}
}

// TestRequestOfImpersonation holds the request against the method
// projects.serviceAccounts.generateAccessToken.
func TestRequestOfImpersonation(t *testing.T) {
	w := newWorld(t, fakegoogle.Options{})
	w.google.Grant(puller, middle)
	w.google.Grant(middle, target)
	w.mint(w.keyed("impersonate", middle+","+target), target, fakegoogle.ScopeReadOnly)
	r, _ := w.google.Request()
	source := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	if who, scopes := w.google.Principal(source); who != puller || len(scopes) != 1 || scopes[0] != fakegoogle.ScopeCloud {
		t.Errorf("the token in between is of %s with %v", who, scopes)
	}
	want := []string{
		"POST https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/target@project.iam.gserviceaccount.com:generateAccessToken",
		"Authorization: Bearer <token>",
		"Content-Type: application/json",
		"Accept: application/json",
		`{"delegates":["projects/-/serviceAccounts/middle@project.iam.gserviceaccount.com"],"scope":["https://www.googleapis.com/auth/devstorage.read_only"],"lifetime":"3600s"}`,
	}
	if diff := cmp.Diff(want, w.last(source, "<token>")); diff != "" {
		t.Error(diff)
	}
}

// TestLifetimeOfImpersonation passes on the lifetime that a configuration of
// federation asks for.
func TestLifetimeOfImpersonation(t *testing.T) {
	w := newWorld(t, fakegoogle.Options{})
	w.addProof()
	w.google.Grant(federatedWho, target)
	config := strings.TrimSuffix(federation(fileSource(file(t, subjectToken)), "service_account_impersonation_url",
		"https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/"+target+":generateAccessToken"), "}") +
		`,"service_account_impersonation":{"token_lifetime_seconds":900}}`
	w.bubble(func(w *world) {
		l := w.mint(credential(location, "federation", config), target, fakegoogle.ScopeReadOnly)
		if got := l.ExpiresAt.Unix(); got != 946684800+900 {
			w.Errorf("it expires at %s, want in 15 minutes", l.ExpiresAt)
		}
	})
}

// TestRefusals checks what is said where Google refuses a key.
func TestRefusals(t *testing.T) {
	w := newWorld(t, fakegoogle.Options{})
	forged := fakegoogle.ForgedKey(w.key)
	w.fails(credential(location, "key", forged.JSON()), regcred.Denied, "oauth2.googleapis.com refuses (status 400): invalid_grant: Invalid JWT Signature; the key was deleted", "create a new key")
	w.google.DeleteKey(w.key)
	w.fails(w.keyed(), regcred.Denied, "Invalid JWT Signature", "the key was deleted", puller)
	w.google.DeleteAccount(puller)
	w.fails(w.keyed(), regcred.Denied, "the service account "+puller+" was deleted")
	delete(w.transport, fakegoogle.TokenHost)
	w.fails(w.keyed(), regcred.Unavailable, "oauth2.googleapis.com cannot be reached")
}
