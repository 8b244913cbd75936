package bucket

import (
	"context"

	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go/middleware"
)

// unsigned has a request's body left out of its signature: TLS and a checksum, whose
// header is signed, take care of it, as in the SDK's own uploads over TLS. It saves a
// SHA-256 of each part here and at the server.
const unsigned = "UNSIGNED-PAYLOAD"

// withPayloadHash gives a request the SHA-256 of its body, in hex, which is signed
// with it and checked by the server. Otherwise the SDK would read the body once more.
func withPayloadHash(sum string) func(*s3.Options) {
	set := func(ctx context.Context, in middleware.InitializeInput, next middleware.InitializeHandler) (middleware.InitializeOutput, middleware.Metadata, error) {
		return next.HandleInitialize(v4.SetPayloadHash(ctx, sum), in)
	}
	return s3.WithAPIOptions(func(stack *middleware.Stack) error {
		return stack.Initialize.Add(middleware.InitializeMiddlewareFunc("PayloadHash", set), middleware.Before)
	})
}
