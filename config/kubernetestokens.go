package config

import (
	"net/url"
	"strings"
)

// DefaultAudience is the audience that service account tokens are for unless the file
// says otherwise.
const DefaultAudience = "regcred"

// KubernetesTokens are the service account tokens of one cluster, which kubelets send
// to ask for their pods' logins.
type KubernetesTokens struct {
	// Name is for people. Default: the issuer's host.
	Name string
	// Issuer is the claim "iss" of the tokens, Audience one of "aud".
	Issuer, Audience string
	// Review has the API server asked about each token; nil: its keys verify them.
	Review *KubernetesAPI
	// JWKSURL is where the keys are; "": where the issuer's discovery document says.
	JWKSURL string
	// CA is a file with the certificates that the issuer's is signed by; "": the
	// system's.
	CA string
	// TokenFile holds a bearer token for the issuer; "": none is needed.
	TokenFile string
	// Scope says which scope each namespace of the cluster has.
	Scope KubernetesScope
}

// KubernetesAPI says how an API server is reached: as a pod of the cluster where both
// fields are "".
type KubernetesAPI struct {
	Kubeconfig, Context string
}

type fileKubernetesTokens struct {
	Name      text                `yaml:"name"`
	Issuer    text                `yaml:"issuer"`
	Audience  text                `yaml:"audience"`
	Review    *fileKubernetesAPI  `yaml:"review"`
	JWKSURL   text                `yaml:"jwks_url"`
	CA        text                `yaml:"ca"`
	TokenFile text                `yaml:"token_file"`
	Scope     fileKubernetesScope `yaml:"scope"`
}

type fileKubernetesAPI struct {
	Kubeconfig text `yaml:"kubeconfig"`
	Context    text `yaml:"context"`
}

// kubernetesTokens reads the list: one issuer has one entry, so that a token is judged
// by one cluster alone.
func (f file) kubernetesTokens(p *parser) []KubernetesTokens {
	var list []KubernetesTokens
	first := map[string]int{}
	for _, t := range f.KubernetesTokens {
		tokens, line := t.tokens(p)
		if other, ok := first[tokens.Issuer]; ok && tokens.Issuer != "" {
			p.problem(line, "kubernetes_tokens: line %d has this issuer already: each cluster needs one of its own", other)
		}
		first[tokens.Issuer] = line
		list = append(list, tokens)
	}
	return list
}

func (f fileKubernetesTokens) tokens(p *parser) (t KubernetesTokens, line int) {
	line = max(f.Issuer.line, f.Name.line, 1)
	t = KubernetesTokens{
		Name: f.Name.value, Issuer: f.Issuer.value, Audience: f.Audience.value,
		JWKSURL: f.JWKSURL.value, CA: f.CA.value, TokenFile: f.TokenFile.value,
		Scope: f.Scope.scope(p, line),
	}
	if t.Audience == "" {
		t.Audience = DefaultAudience
	}
	host := httpsHost(t.Issuer)
	switch {
	case t.Issuer == "":
		p.problem(line, "kubernetes_tokens: name the issuer: kubectl get --raw /.well-known/openid-configuration shows it")
	case host == "":
		p.problem(line, "kubernetes_tokens: issuer: write it as the cluster does, https://HOST[:PORT][/PATH]")
	case t.Name == "":
		t.Name = host
	}
	if t.JWKSURL != "" && httpsHost(t.JWKSURL) == "" {
		p.problem(f.JWKSURL.line, "kubernetes_tokens: jwks_url: write https://HOST[:PORT]/PATH")
	}
	if f.Review != nil {
		t.Review = &KubernetesAPI{Kubeconfig: f.Review.Kubeconfig.value, Context: f.Review.Context.value}
		if t.JWKSURL+t.CA+t.TokenFile != "" {
			p.problem(line, "kubernetes_tokens: with review the API server is asked about each token: leave out jwks_url, ca and token_file")
		}
	} else if t.Scope.UsesLabels() {
		p.problem(line, "kubernetes_tokens: a token does not have the labels of its namespace: set review, or leave out scope.organization_label, scope.space_label and scope.preset")
	}
	return t, line
}

// httpsHost returns the host of an https URL, "" where it is none.
func httpsHost(raw string) string {
	u, err := url.Parse(raw)
	if err != nil || u.Scheme != "https" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || strings.ContainsAny(raw, " \t") {
		return ""
	}
	return u.Host
}
