package review_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	authenticationv1 "k8s.io/api/authentication/v1"
	"k8s.io/client-go/rest"

	"regcred.dev"
	"regcred.dev/clustertoken"
	"regcred.dev/clustertoken/review"
	"regcred.dev/regcredtest"
)

const raw = "canary.token.raw"

// newReviewer returns a Reviewer whose API server is the handler.
func newReviewer(t *testing.T, h http.HandlerFunc) *review.Reviewer {
	t.Helper()
	evil := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the token was sent to another server") })
	r, err := review.New(review.Options{
		Config:   &rest.Config{Host: "https://api.example.com", Transport: regcredtest.HandlerTransport{"api.example.com": h, "evil.example.com": evil}},
		Audience: "regcred", Labels: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// yes is what an API server says of a token that the kubelet asked for.
func yes() authenticationv1.TokenReviewStatus {
	return authenticationv1.TokenReviewStatus{
		Authenticated: true, Audiences: []string{"regcred"},
		User: authenticationv1.UserInfo{
			Username: "system:serviceaccount:shop:default",
			Groups:   []string{"system:serviceaccounts", "system:serviceaccounts:shop", "system:authenticated"},
			Extra: map[string]authenticationv1.ExtraValue{
				"authentication.kubernetes.io/pod-name":  {"web-1"},
				"authentication.kubernetes.io/node-name": {"node-1"},
			},
		},
	}
}

// answering is an API server that gives one review, and knows one namespace.
func answering(t *testing.T, s authenticationv1.TokenReviewStatus) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		switch r.Method + " " + r.URL.Path {
		case "POST /apis/authentication.k8s.io/v1/tokenreviews":
			var asked authenticationv1.TokenReview
			if err := json.NewDecoder(r.Body).Decode(&asked); err != nil {
				t.Error(err)
			}
			want := authenticationv1.TokenReviewSpec{Token: raw, Audiences: []string{"regcred"}}
			if diff := cmp.Diff(want, asked.Spec); diff != "" {
				t.Error(diff)
			}
			asked.Status = s
			_ = json.NewEncoder(w).Encode(asked)
		case "GET /api/v1/namespaces/shop":
			_, _ = io.WriteString(w, `{"kind":"Namespace","apiVersion":"v1","metadata":{"name":"shop","labels":{"team":"a"}}}`)
		default:
			t.Errorf("asked for %s %s", r.Method, r.URL.Path)
			http.NotFound(w, r)
		}
	}
}

func TestReview(t *testing.T) {
	id, err := newReviewer(t, answering(t, yes())).Verify(t.Context(), time.Now(), raw)
	want := clustertoken.Identity{
		Namespace: "shop", ServiceAccount: "default", Pod: "web-1", Node: "node-1", Labels: map[string]string{"team": "a"},
	}
	if diff := cmp.Diff(want, id); err != nil || diff != "" {
		t.Errorf("%v %s", err, diff)
	}
}

// TestRefusals shows answers that are no clear yes.
func TestRefusals(t *testing.T) {
	for name, change := range map[string]func(*authenticationv1.TokenReviewStatus){
		"no":                 func(s *authenticationv1.TokenReviewStatus) { *s = authenticationv1.TokenReviewStatus{} },
		"no, with a user":    func(s *authenticationv1.TokenReviewStatus) { s.Authenticated = false },
		"yes, with an error": func(s *authenticationv1.TokenReviewStatus) { s.Error = "expired" },
		"no audience":        func(s *authenticationv1.TokenReviewStatus) { s.Audiences = nil },
		"another audience":   func(s *authenticationv1.TokenReviewStatus) { s.Audiences = []string{"regcred.evil"} },
		"a user":             func(s *authenticationv1.TokenReviewStatus) { s.User.Username = "admin" },
		"a node":             func(s *authenticationv1.TokenReviewStatus) { s.User.Username = "system:node:node-1" },
		"half a name":        func(s *authenticationv1.TokenReviewStatus) { s.User.Username = "system:serviceaccount:shop" },
		"no namespace":       func(s *authenticationv1.TokenReviewStatus) { s.User.Username = "system:serviceaccount::default" },
		"too much of a name": func(s *authenticationv1.TokenReviewStatus) { s.User.Username = "system:serviceaccount:shop:a:b" },
		"no pod":             func(s *authenticationv1.TokenReviewStatus) { s.User.Extra = nil },
		"two pods": func(s *authenticationv1.TokenReviewStatus) {
			s.User.Extra["authentication.kubernetes.io/pod-name"] = []string{"a", "b"}
		},
		"a pod in someone's own key": func(s *authenticationv1.TokenReviewStatus) {
			s.User.Extra = map[string]authenticationv1.ExtraValue{"pod-name": {"web-1"}}
		},
	} {
		s := yes()
		change(&s)
		id, err := newReviewer(t, answering(t, s)).Verify(t.Context(), time.Now(), raw)
		if regcred.CodeOf(err) != regcred.Unauthenticated || id.Namespace != "" {
			t.Errorf("%s: %+v, %v", name, id, err)
		}
	}
}

// TestFailClosed shows an API server that gives no answer: nobody gets in, and no error
// shows the token.
func TestFailClosed(t *testing.T) {
	status := func(code int, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(code)
			_, _ = io.WriteString(w, body)
		}
	}
	echo := func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		http.Error(w, string(body), http.StatusBadRequest)
	}
	noLabels := answering(t, yes())
	for name, test := range map[string]struct {
		h    http.HandlerFunc
		want string
	}{
		"403": {status(403, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Forbidden","code":403}`), "system:auth-delegator"},
		"401": {status(401, ``), "system:auth-delegator"},
		"429": {status(429, ``), "less often"},
		"500": {status(500, ``), "InternalError"},
		"502": {status(502, `<html>`), ""},
		"a redirect": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://evil.example.com/", http.StatusTemporaryRedirect)
		}, ""},
		"an echo":              {echo, ""},
		"nothing":              {status(200, ``), ""},
		"HTML":                 {status(200, `<html>`), ""},
		"a token review of v2": {status(200, `{"kind":"TokenReview","apiVersion":"authentication.k8s.io/v2","status":{"authenticated":true}}`), ""},
		"no answer":            {func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, "in time"},
		"no labels": {func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodGet {
				status(403, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Forbidden","code":403}`)(w, r)
				return
			}
			noLabels(w, r)
		}, "the labels of namespace shop"},
	} {
		synctest.Test(t, func(t *testing.T) {
			id, err := newReviewer(t, test.h).Verify(t.Context(), time.Now(), raw)
			if regcred.CodeOf(err) != regcred.Unavailable || !strings.Contains(err.Error(), test.want) || id.Labels != nil {
				t.Errorf("%s: %+v, %v, want %q", name, id, err, test.want)
			}
			if strings.Contains(err.Error(), "canary") {
				t.Errorf("%s: the error shows the token: %v", name, err)
			}
		})
	}
	_, err := newReviewer(t, nil).Verify(t.Context(), time.Now(), strings.Repeat("a", 10<<20))
	if regcred.CodeOf(err) != regcred.Unauthenticated {
		t.Errorf("10 MiB: %v", err)
	}
}
