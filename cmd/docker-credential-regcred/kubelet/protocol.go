package kubelet

import (
	"encoding/json"
	"net/url"
	"strings"
	"time"

	"regcred.dev"
	"regcred.dev/client"
)

// The kubelet's protocol (k8s.io/kubelet, pkg/apis/credentialprovider/v1). The types
// are written down here, since those of Kubernetes bring 3 MB along.
const (
	apiVersion   = "credentialprovider.kubelet.k8s.io/v1"
	requestKind  = "CredentialProviderRequest"
	responseKind = "CredentialProviderResponse"
)

// request is CredentialProviderRequest. Its serviceAccountAnnotations are not looked
// at: a tenant writes them.
type request struct {
	APIVersion          string `json:"apiVersion"`
	Kind                string `json:"kind"`
	Image               string `json:"image"`
	ServiceAccountToken string `json:"serviceAccountToken"`
}

// response is CredentialProviderResponse.
type response struct {
	APIVersion    string          `json:"apiVersion"`
	Kind          string          `json:"kind"`
	CacheKeyType  string          `json:"cacheKeyType"`
	CacheDuration string          `json:"cacheDuration"` // metav1.Duration
	Auth          map[string]auth `json:"auth"`
}

type auth struct {
	Username string `json:"username"`
	Password string `json:"password"`
}

// parseRequest reads a request. Fields that a newer kubelet may send are passed over.
// Errors: Invalid, without a word of the request's token.
func parseRequest(data []byte) (request, error) {
	var r request
	if json.Unmarshal(data, &r) != nil {
		return request{}, regcred.Errorf(regcred.Invalid, "standard input holds no %s: this is a plugin for the kubelet", requestKind)
	}
	switch {
	case r.APIVersion != apiVersion:
		return request{}, regcred.Errorf(regcred.Invalid, "the kubelet asks in apiVersion %.100q: write apiVersion: %s for this provider in CredentialProviderConfig", r.APIVersion, apiVersion)
	case r.Kind != requestKind:
		return request{}, regcred.Errorf(regcred.Invalid, "kind %.100q is none that is answered here: the kubelet sends a %s", r.Kind, requestKind)
	case r.Image == "":
		return request{}, regcred.Errorf(regcred.Invalid, "the request names no image")
	}
	return r, nil
}

// respond makes a response of the server's answer. The kubelet uses what it keeps for
// all images with the same key: for the whole host only where all its images have this
// login. That there is no login is not kept at all.
//
// Errors: Invalid where the kubelet would not match any key with the image.
func respond(image string, a client.KubeletAnswer, maxCache time.Duration) (response, error) {
	r := response{APIVersion: apiVersion, Kind: responseKind, CacheKeyType: "Image", CacheDuration: "0s"}
	if a.Login == nil {
		return r, nil
	}
	host, path, _ := strings.Cut(image, "/")
	key := matchKey(host, path)
	if a.WholeHost {
		r.CacheKeyType, key = "Registry", host
	}
	if strings.HasSuffix(host, "]") {
		return r, regcred.Errorf(regcred.Invalid, "the kubelet cannot match an IPv6 address without a port: name the image with %s:443", host)
	}
	if _, err := url.Parse("https://" + key); err != nil {
		return r, regcred.Errorf(regcred.Invalid, "the kubelet cannot match the image %.200q", image)
	}
	r.CacheDuration = cacheFor(a.Login.ExpiresIn, maxCache).String()
	r.Auth = map[string]auth{key: {Username: a.Login.Username, Password: a.Login.Password}}
	return r, nil
}

// matchKey returns the key that the kubelet matches with an image (k8s.io/kubernetes,
// pkg/credentialprovider/keyring.go: BasicDockerKeyring.Add, URLsMatch). The image is
// taken as it is written: hosts are compared with regard to case and port. From a path
// that begins with the version of a registry API the kubelet takes that away, so there
// is one more to take.
func matchKey(host, path string) string {
	if strings.HasPrefix(path, "v1/") || strings.HasPrefix(path, "v2/") {
		path = "v2/" + path
	}
	if path == "" {
		return host
	}
	return host + "/" + path
}

// cacheFor returns how long the kubelet may keep a login that is valid for so many
// seconds more, nil for ever: it asks again while there is time left for a pull.
func cacheFor(expiresIn *int64, limit time.Duration) time.Duration {
	if expiresIn == nil {
		return limit
	}
	const century = 100 * 365 * 24 * 60 * 60 // far more would overflow
	left := time.Duration(min(*expiresIn, century)) * time.Second
	margin := max(left/10, minMargin)
	return min(max(left-margin, 0), limit)
}

// minMargin is the least time that a login is still valid when the kubelet asks anew.
const minMargin = 30 * time.Second
