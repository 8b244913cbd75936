package amazon

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"regexp"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"regcred.dev"
	"regcred.dev/internal/web"
)

// call is a request to AWS, for the words of an error.
type call struct {
	action string // the IAM action, such as "ecr:GetAuthorizationToken"
	who    string // who asks
	role   string // the role that was to be assumed, "" for any other call
}

// Explain says what the error of a call means and what to do. action is its IAM
// action, who names the identity that asked.
//
// AWS's own messages are not shown: that of a wrong signature holds the session
// token, that of a malformed web identity token the token itself.
//
// Errors: Denied, Throttled, Unavailable; ctx's.
func (c *Client) Explain(ctx context.Context, err error, action, who string) error {
	return c.explain(ctx, err, call{action: action, who: who})
}

func (c *Client) explain(ctx context.Context, err error, asked call) error {
	if ctxErr := ctx.Err(); ctxErr != nil {
		return fmt.Errorf("asking AWS for %s: %w", asked.action, ctxErr)
	}
	if answer, ok := errors.AsType[smithy.APIError](err); ok {
		return c.refused(err, answer, asked)
	}
	if statusOf(err) >= 300 {
		return byStatus(err)
	}
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return regcred.Errorf(regcred.Unavailable, "%s answers with more than %d bytes", host(err), web.DefaultMaxBody)
	}
	if known, ok := errors.AsType[*regcred.Error](err); ok {
		if dns, ok := errors.AsType[*net.DNSError](err); ok && dns.IsNotFound {
			return regcred.Errorf(regcred.Unavailable, "%w; is the region right, and does it have such an endpoint?", known)
		}
		return known
	}
	if statusOf(err) != 0 {
		return regcred.Errorf(regcred.Unavailable, "%s answers %s with what is not in AWS's documented form", host(err), asked.action)
	}
	return regcred.Errorf(regcred.Unavailable, "AWS cannot be asked for %s: there is no endpoint for these settings, see the region, fips and dual-stack", asked.action)
}

// refused explains an error that AWS answered with.
func (c *Client) refused(err error, answer smithy.APIError, asked call) error {
	code := answer.ErrorCode()
	if _, slower := retry.DefaultThrottleErrorCodes[code]; slower || statusOf(err) == http.StatusTooManyRequests {
		return throttled(err, shown(code))
	}
	denied := func(format string, args ...any) error {
		return regcred.Errorf(regcred.Denied, "AWS refuses %s (%s): %s", asked.action, shown(code), fmt.Sprintf(format, args...))
	}
	switch code {
	case "AccessDenied", "AccessDeniedException":
		return denied("%s", asked.notAllowed(answer.ErrorMessage()))
	case "UnrecognizedClientException", "InvalidClientTokenId":
		return denied("it does not know the keys of %s: they were deleted or disabled, lack their session token, or belong to another partition, such as China's", asked.who)
	case "InvalidSignatureException", "SignatureDoesNotMatch", "IncompleteSignature", "RequestTimeTooSkewed", "RequestExpired":
		return denied("%s", c.badSignature(asked))
	case "ExpiredToken", "ExpiredTokenException":
		return denied("the session or web identity token of %s has expired", asked.who)
	case "InvalidIdentityToken", "InvalidIdentityTokenException", "IDPRejectedClaim":
		return denied("the web identity token of %s is not accepted: see that IAM has its issuer as an identity provider, and that its audience is one of that provider's", asked.who)
	case "OptInRequired", "RegionDisabledException", "SubscriptionRequiredException":
		return denied("the region is not enabled for the account of %s", asked.who)
	}
	status := statusOf(err)
	switch {
	case status >= 500, code == "IDPCommunicationError":
		return regcred.Errorf(regcred.Unavailable, "%s fails (%s, status %d)", host(err), shown(code), status)
	case status >= 400 && code != codeUnknown:
		return regcred.Errorf(regcred.Denied, "%s refuses %s (%s, status %d)", host(err), asked.action, shown(code), status)
	}
	return byStatus(err)
}

// codeUnknown is the SDK's for an answer that names none, as one that is not AWS's.
const codeUnknown = "UnknownError"

// byStatus explains an answer by its HTTP status alone.
func byStatus(err error) error {
	switch status := statusOf(err); {
	case status == http.StatusTooManyRequests:
		return throttled(err, "status 429")
	case status >= 300 && status < 400:
		return regcred.Errorf(regcred.Unavailable, "%s redirects (status %d), which is not followed: keys must not reach another server", host(err), status)
	case status >= 400 && status < 500:
		return regcred.Errorf(regcred.Denied, "%s refuses (status %d), and not in AWS's words: is it AWS's endpoint?", host(err), status)
	default:
		return regcred.Errorf(regcred.Unavailable, "%s answers with status %d", host(err), status)
	}
}

func throttled(err error, why string) error {
	wait := time.Duration(0)
	if answer, ok := errors.AsType[*smithyhttp.ResponseError](err); ok && answer.Response != nil {
		wait = web.RetryAfter(answer.Response.Header, time.Now())
	}
	return regcred.ThrottledFor(wait, "%s asks to be asked less often (%s)", host(err), why)
}

// arnPattern finds whom AWS names in a message on access that was denied.
var arnPattern = regexp.MustCompile(`arn:aws[a-z-]*:(?:iam|sts)::[0-9]{12}:[\w+=,.@/-]{1,200}`)

// notAllowed says what to allow whom. message is AWS's.
func (a call) notAllowed(message string) string {
	who := a.who
	if arn := arnPattern.FindString(message); arn != "" {
		who += " (" + arn + ")"
	}
	if a.role != "" {
		return fmt.Sprintf("%s may not assume the role %s: the role's trust policy must name it, with the external id where it asks for one, and its own policies must allow %s", who, a.role, a.action)
	}
	return fmt.Sprintf("%s needs a policy that allows %s, on all resources (*)", who, a.action)
}

// signatureWindow is how old or early the time of a signature may be (AWS General
// Reference, "Signature Version 4": 5 minutes).
const signatureWindow = 5 * time.Minute

func (c *Client) badSignature(asked call) string {
	switch skew := c.Skew().Round(time.Second); {
	case skew >= signatureWindow:
		return fmt.Sprintf("this machine's clock is %s behind AWS's: set it", skew)
	case skew <= -signatureWindow:
		return fmt.Sprintf("this machine's clock is %s ahead of AWS's: set it", -skew)
	}
	return fmt.Sprintf("the secret access key does not go with %s, or the endpoint is not of this region", asked.who)
}

// explainIdentity says why the identity's own keys cannot be had.
func (s Settings) explainIdentity(ctx context.Context, c *Client, err error) error {
	if file, ok := errors.AsType[*fs.PathError](err); ok {
		return regcred.Errorf(regcred.Invalid, "%s: the file %s cannot be read: %w", s, file.Path, file.Err)
	}
	if missing, ok := errors.AsType[config.SharedConfigProfileNotExistError](err); ok {
		return regcred.Errorf(regcred.Invalid, "the server's AWS configuration files have no profile %q", missing.Profile)
	}
	if file, ok := errors.AsType[config.SharedConfigLoadError](err); ok {
		return regcred.Errorf(regcred.Invalid, "the server's AWS configuration file %s cannot be read", file.Filename)
	}
	asked := call{action: "an identity's keys", who: s.String()}
	operation, isCall := innermost(err)
	switch {
	case isCall && operation.ServiceID == "STS":
		asked.action = "sts:" + operation.OperationName
		asked.role = "that " + s.String() + " names"
		if s.tokenFile != "" {
			asked.role = s.roles[0]
		}
		return c.explain(ctx, err, asked)
	case ctx.Err() != nil, isCall && operation.ServiceID != "ec2imds":
		return c.explain(ctx, err, asked)
	}
	if os.Getenv("AWS_CA_BUNDLE") != "" { // the SDK takes it with an HTTP client of its own alone
		return regcred.Errorf(regcred.Unavailable, "%s cannot be used while AWS_CA_BUNDLE is set for the server: unset it there. Where AWS's certificates are of an authority of your own, "+
			"set the credential's ca to its certificates", s)
	}
	return regcred.Errorf(regcred.Unavailable, "%s cannot be used: neither its environment (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY), files, nor a service of the machine gives keys that work. "+
		"Give the credential %s and %s, or the server a role (of EKS, ECS or EC2)", s, AccessKeyID, SecretAccessKey)
}

// innermost returns the call that failed: to assume a role is a call within
// another.
func innermost(err error) (operation *smithy.OperationError, ok bool) {
	for {
		inner, more := errors.AsType[*smithy.OperationError](err)
		if !more {
			return operation, ok
		}
		operation, ok, err = inner, true, inner.Err
	}
}

// statusOf returns the HTTP status of the answer that an error is about, 0 where
// there was none.
func statusOf(err error) int {
	if answer, ok := errors.AsType[*smithyhttp.ResponseError](err); ok && answer.Response != nil {
		return answer.HTTPStatusCode()
	}
	return 0
}

// host names who answered.
func host(err error) string {
	if answer, ok := errors.AsType[*smithyhttp.ResponseError](err); ok && answer.Response != nil && answer.Response.Request != nil {
		return answer.Response.Request.URL.Host
	}
	return "AWS"
}

var codePattern = regexp.MustCompile(`^[A-Za-z.]{1,64}$`)

// shown returns an error code of AWS where it is one: an endpoint may answer with
// anything.
func shown(code string) string {
	if codePattern.MatchString(code) {
		return code
	}
	return "an unknown error"
}
