package client

import (
	"context"
	"net/http"
)

// KubeletRequest is what a kubelet asks.
type KubeletRequest struct {
	// Image is as the kubelet writes it: with docker.io where it is on Docker Hub.
	Image string `json:"image"`
}

// KubeletAnswer is the login for one image.
type KubeletAnswer struct {
	Image string `json:"image"`
	// Login is null where no credential matches: the image may be public.
	Login *KubeletLogin `json:"login"`
	// WholeHost says that every image of the host has this very answer.
	WholeHost bool `json:"whole_host"`
}

// KubeletLogin is a login in clear.
type KubeletLogin struct {
	Username string `json:"username"`
	Password string `json:"password"`
	// ExpiresIn is how many seconds it is still valid; null: it never expires.
	ExpiresIn *int64 `json:"expires_in"`
}

// KubeletLogin returns the login for one image, at the scope of the client's token:
// an API token, or a service account token of a cluster that the server trusts.
func (c *Client) KubeletLogin(ctx context.Context, image string) (KubeletAnswer, error) {
	return call[KubeletAnswer](ctx, c, http.MethodPost, "/regcred/v1/kubelet/login", nil, KubeletRequest{Image: image})
}
