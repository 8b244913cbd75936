package publish

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strconv"

	"cuelabs.dev/go/oci/ociregistry"

	"regcred.dev"
)

// LinkBlob implements Linker by regcred's own extension of a mount:
//
//	POST /v2/NAME/blobs/uploads/?mount=DIGEST&url=URL&size=BYTES
//
// Other registries begin an upload instead, which is taken back. Errors: Invalid
// there; Denied where the registry does not know the host as an owner's.
func (r *remote) LinkBlob(ctx context.Context, repo string, desc ociregistry.Descriptor, at string) error {
	u := url.URL{
		Scheme: r.transport.origin.scheme, Host: r.host, Path: "/v2/" + repo + "/blobs/uploads/",
		RawQuery: url.Values{"mount": {string(desc.Digest)}, "url": {at}, "size": {strconv.FormatInt(desc.Size, 10)}}.Encode(),
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, u.String(), nil)
	if err != nil {
		return err
	}
	resp, err := r.transport.RoundTrip(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusCreated:
		return nil
	case http.StatusAccepted:
		if begun, err := u.Parse(resp.Header.Get("Location")); err == nil {
			_ = r.transport.discard(ctx, begun) // else the registry forgets it after a while
		}
		return regcred.Errorf(regcred.Invalid, "this registry cannot refer to layers that others host: publish without masks, or to a regcred server")
	}
	err = answerError(resp)
	if resp.StatusCode == http.StatusForbidden {
		return regcred.Errorf(regcred.Denied, "the registry refuses to send its clients to %s: use a token that may push, and add the host to the registry's owners (%s)", at, printable(err))
	}
	return err
}

// maxAnswer bounds what is read of a registry's error, in bytes.
const maxAnswer = 8 << 10

// answerError returns an answer as the error that it is.
func answerError(resp *http.Response) error {
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	var wire ociregistry.WireErrors
	if err == nil && json.Unmarshal(body, &wire) == nil && len(wire.Errors) > 0 {
		err = &wire
	}
	return ociregistry.NewHTTPError(err, resp.StatusCode, resp, body)
}
