package rancher

import (
	"strings"

	"regcred.dev/imageref"
)

// hubAddress is how Rancher stores Docker Hub's registry.
const hubAddress = "index.docker.io"

// hostOf returns the registry host, in canonical form, that a serverAddress means: it
// is stored as its user wrote it, as HOST, HOST:PORT or a URL. ok is false where that
// is none.
func hostOf(serverAddress string) (host string, ok bool) {
	text := strings.TrimSpace(serverAddress)
	if _, rest, isURL := strings.Cut(text, "://"); isURL {
		text = rest
	}
	if end := strings.IndexAny(text, "/?#"); end >= 0 {
		text = text[:end]
	}
	location, err := imageref.ParseLocation(text)
	if err != nil || location.Path() != "" {
		return "", false
	}
	return location.Host(), true
}

// addressOf returns the serverAddress for a host in canonical form.
func addressOf(host string) string {
	if host == imageref.DockerHub {
		return hubAddress
	}
	return host
}

// pulls reports whether Rancher itself finds a registry when it pulls an image from a
// host: it looks for the bare host name (Cattle's DockerImageCredentialLookup).
func pulls(serverAddress, host string) bool { return strings.EqualFold(serverAddress, addressOf(host)) }
