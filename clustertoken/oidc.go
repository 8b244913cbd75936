package clustertoken

import (
	"context"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"regcred.dev/internal/jwks"
)

// maxAge is how long after its issue a token is good at most. The kubelet asks for an
// hour. Who may create pods or tokens may ask for a year, and would keep a way into a
// namespace that is somebody else's by then.
const maxAge = 2 * time.Hour

// algorithms are those that API servers sign with (kube-apiserver's
// --service-account-signing-key-file takes RSA and ECDSA keys).
var algorithms = []jose.SignatureAlgorithm{jose.RS256, jose.ES256}

// OIDC verifies tokens by the keys that their issuer publishes (OpenID Connect
// Discovery 1.0; Kubernetes, "Service account issuer discovery").
//
// It cannot see that a pod or service account is gone: a token then stays good until
// it expires, or maxAge is over. It knows no labels.
type OIDC struct {
	issuer, audience string
	keys             *jwks.Set
}

// NewOIDC returns an OIDC. It asks nobody before the first token.
func NewOIDC(o OIDCOptions) *OIDC {
	return &OIDC{issuer: o.Issuer, audience: o.Audience, keys: jwks.New(o.issuer().Keys)}
}

// claims are what the API server signs (k8s.io/kubernetes, pkg/serviceaccount/claims.go).
type claims struct {
	jwt.Claims

	Kubernetes struct {
		Namespace      string `json:"namespace"`
		ServiceAccount object `json:"serviceaccount"`
		Pod            object `json:"pod"`
		Node           object `json:"node"`
	} `json:"kubernetes.io"`
}

type object struct {
	Name string `json:"name"`
}

// Verify implements Verifier.
func (o *OIDC) Verify(ctx context.Context, now time.Time, raw string) (Identity, error) {
	if len(raw) > MaxSize {
		return Identity{}, jwks.Refused("it is no service account token")
	}
	var c claims
	if err := o.keys.Open(ctx, now, raw, algorithms, &c); err != nil {
		return Identity{}, err
	}
	if reason := o.refusal(now, c); reason != "" {
		return Identity{}, jwks.Refused("%s", reason)
	}
	k := c.Kubernetes
	return Identity{Namespace: k.Namespace, ServiceAccount: k.ServiceAccount.Name, Pod: k.Pod.Name, Node: k.Node.Name}, nil
}

// refusal says in words why a token that the issuer signed is not valid, "" where it
// is.
func (o *OIDC) refusal(now time.Time, c claims) string {
	k := c.Kubernetes
	switch {
	case c.Issuer != o.issuer:
		return "another cluster issued it"
	case !c.Audience.Contains(o.audience):
		return "it is for another audience: the kubelet's serviceAccountTokenAudience and audience in regcred.yaml must be equal"
	case jwks.Untimely(now, c.Claims) != "":
		return jwks.Untimely(now, c.Claims)
	case c.IssuedAt == nil:
		return "it does not say when it was issued"
	case now.Sub(c.IssuedAt.Time()) > maxAge:
		return "it was issued at " + c.IssuedAt.Time().UTC().Format(time.RFC3339) + ": those of the kubelet are renewed each hour"
	case k.Namespace == "" || k.ServiceAccount.Name == "" || c.Subject != "system:serviceaccount:"+k.Namespace+":"+k.ServiceAccount.Name:
		return "it is not of a service account"
	case k.Pod.Name == "":
		return "it is not bound to a pod, as those that the kubelet sends are"
	}
	return ""
}
