package bucket

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"regcred.dev"
	"regcred.dev/registry"
)

// fail says in words why an operation of S3, such as "PutObject", failed for a key.
// What the storage as it is configured does not do is Unavailable: whoever asks the
// registry for an image is told that it cannot serve, not that he may not pull.
// A context that has ended is its own error.
func (b *Bucket) fail(ctx context.Context, operation, key string, err error) error {
	err = b.explain(ctx, operation, key, err)
	if err != nil && regcred.CodeOf(err) == regcred.Unavailable {
		return registry.Operational(err)
	}
	return err
}

// explain is fail for who runs the registry.
func (b *Bucket) explain(ctx context.Context, operation, key string, err error) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	where := "bucket " + b.o.Bucket + b.at
	code := errorCode(err)
	switch {
	case slices.Contains([]string{"NoSuchKey", "NotFound"}, code):
		return noObject(key)
	case slices.Contains([]string{"ExistingObjectIsDirectory", "ObjectParentIsFile", "XMinioObjectExistsAsDirectory", "XMinioParentIsObject"}, code):
		return regcred.Errorf(regcred.Invalid, "cannot store %s: one of the keys is a directory of the other", key)
	case code == "NoSuchBucket":
		return regcred.Errorf(regcred.Unavailable, "%s does not exist: make it with 'regcred registry setup --create', or correct its name", where)
	case code == "RequestTimeTooSkewed":
		return regcred.Errorf(regcred.Unavailable, "%s: the clock of this machine is wrong: set it", where)
	case code == "SignatureDoesNotMatch":
		return regcred.Errorf(regcred.Unavailable, "%s: the signature is wrong: check the secret access key, the region and this machine's clock; a proxy in between must not change the header Host", where)
	case slices.Contains([]string{"InvalidAccessKeyId", "InvalidToken", "ExpiredToken", "InvalidClientTokenId"}, code):
		return regcred.Errorf(regcred.Unavailable, "%s: the access key is unknown or has expired (%s): give another one", where, code)
	case slices.Contains([]string{"AccessDenied", "Forbidden", "AllAccessDisabled"}, code):
		return regcred.Errorf(regcred.Unavailable, "%s: %s is refused: allow %s to the access key", where, operation, actionOf(operation))
	case otherRegion(err):
		return regcred.Errorf(regcred.Unavailable, "%s is in another region%s: give that one", where, regionOf(err))
	case slices.Contains([]string{"QuotaExceeded", "XMinioStorageFull", "InsufficientStorage", "EntityTooLarge"}, code):
		return regcred.Errorf(regcred.Unavailable, "%s takes no more: %s of %s: %s", where, operation, key, code)
	case throttled(err):
		return regcred.Errorf(regcred.Unavailable, "%s wants to be asked less often (%s): try again later", where, code)
	}
	return b.failTransport(where, operation, key, err)
}

// failTransport says why an operation failed that had no answer, or none that fail
// knows.
func (b *Bucket) failTransport(where, operation, key string, err error) error {
	if login, ok := errors.AsType[*loginError](err); ok {
		return regcred.Errorf(regcred.Unavailable, "%s: there is no login for it: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give one in AWS's files or to this machine (%w)", where, login.error)
	}
	if reason := tlsReason(err); reason != "" {
		return regcred.Errorf(regcred.Unavailable, "%s: its certificate is not trusted: %s: give its CA", where, reason)
	}
	if api, ok := errors.AsType[smithy.APIError](err); ok {
		return regcred.Errorf(regcred.Unavailable, "%s: %s of %s failed: %s: %s", where, operation, key, api.ErrorCode(), api.ErrorMessage())
	}
	if dns, ok := errors.AsType[*net.DNSError](err); ok && strings.HasPrefix(dns.Name, b.o.Bucket+".") {
		return regcred.Errorf(regcred.Unavailable, "%s cannot be reached: %w; if that server has buckets in the path of URLs rather than in the host's name, set path_style, or --s3-path-style", where, dns)
	}
	if dial, ok := errors.AsType[*net.OpError](err); ok {
		return regcred.Errorf(regcred.Unavailable, "%s cannot be reached: %w", where, dial)
	}
	return regcred.Errorf(regcred.Unavailable, "%s: %s of %s failed: %w", where, operation, key, err)
}

// tlsReason returns why a certificate was refused, "" where none was.
func tlsReason(err error) string {
	if e, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return e.Err.Error()
	}
	if e, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return e.Error()
	}
	return ""
}

// errorCode returns the code that S3 gave an error, "" where it gave none.
func errorCode(err error) string {
	if api, ok := errors.AsType[smithy.APIError](err); ok {
		return api.ErrorCode()
	}
	return ""
}

// status returns the HTTP status of an error, 0 where there was no answer.
func status(err error) int {
	if resp, ok := errors.AsType[*smithyhttp.ResponseError](err); ok {
		return resp.HTTPStatusCode()
	}
	return 0
}

// refused reports whether a condition of a request did not hold. A condition on a
// version does not hold where there is no object.
func refused(err error) bool {
	switch status(err) {
	case http.StatusPreconditionFailed:
		return true
	case http.StatusConflict:
		return errorCode(err) == "ConditionalRequestConflict"
	case http.StatusNotFound:
		return errorCode(err) == "NoSuchKey" || errorCode(err) == "NotFound"
	}
	return false
}

func absent(err error) bool {
	code := errorCode(err)
	return code == "NoSuchKey" || code == "NotFound"
}

func throttled(err error) bool {
	return retry.IsErrorThrottles(retry.DefaultThrottles).IsErrorThrottle(err) == aws.TrueTernary ||
		slices.Contains([]string{"TooManyRequests", "ServiceUnavailable"}, errorCode(err))
}

// otherRegion reports whether S3 sent the request elsewhere.
func otherRegion(err error) bool {
	return status(err)/100 == 3 && status(err) != http.StatusNotModified ||
		errorCode(err) == "AuthorizationHeaderMalformed" || errorCode(err) == "IllegalLocationConstraintException"
}

// regionOf returns the region that S3 named, as " (eu-west-1)", else "".
func regionOf(err error) string {
	resp, ok := errors.AsType[*smithyhttp.ResponseError](err)
	if !ok || resp.Response == nil {
		return ""
	}
	if region := resp.Response.Header.Get("X-Amz-Bucket-Region"); region != "" {
		return " (" + region + ")"
	}
	return ""
}

// actionOf returns the IAM action that an operation needs.
func actionOf(operation string) string {
	switch operation {
	case "HeadObject":
		return "s3:GetObject and s3:ListBucket"
	case "ListObjectsV2", "HeadBucket":
		return "s3:ListBucket"
	case "CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload":
		return "s3:PutObject"
	case "ListMultipartUploads":
		return "s3:ListBucketMultipartUploads"
	case "ListParts":
		return "s3:ListMultipartUploadParts"
	}
	return "s3:" + operation
}

// conflict is the error where a condition does not hold.
func conflict(key string, absent bool) error {
	if absent {
		return regcred.Errorf(regcred.Exists, "object %s exists", key)
	}
	return regcred.Errorf(regcred.Stale, "object %s was changed meanwhile", key)
}

func noObject(key string) error {
	return regcred.Errorf(regcred.NotFound, "there is no object %s", key)
}
