package web

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"

	"regcred.dev"
)

// reason is why there is no answer, in words. Its cause stays reachable, but its
// text is not shown: net/http quotes what a server sent in place of HTTP, which may
// be the request, with its path and Authorization header.
type reason struct {
	text  string
	cause error
}

func (r reason) Error() string { return r.text }
func (r reason) Unwrap() error { return r.cause }

// Unreachable says why a request has no answer, from the error of its transport or
// client: for libraries that send it themselves. It is Unavailable, or the context's.
func Unreachable(req *http.Request, err error) error {
	if ctxErr := req.Context().Err(); ctxErr != nil {
		return fmt.Errorf("asking %s: %w", req.URL.Host, ctxErr)
	}
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		err = wrapped.Err
	}
	return regcred.Errorf(regcred.Unavailable, "%s cannot be reached: %w", req.URL.Host, reason{words(err), err})
}

// words explains an error of net/http by its kind.
func words(err error) string {
	if own, ok := errors.AsType[*regcred.Error](err); ok {
		return own.Message
	}
	op, isOp := errors.AsType[*net.OpError](err)
	if isOp && op.Op == "proxyconnect" {
		return "the proxy on the way to it cannot be reached"
	}
	if text := tlsWords(err); text != "" {
		return text
	}
	if dns, ok := errors.AsType[*net.DNSError](err); ok {
		if dns.IsNotFound {
			return "its name does not resolve: check its spelling, or this server's DNS"
		}
		return "its name cannot be resolved now: this server's DNS does not answer"
	}
	timeout, isNet := errors.AsType[net.Error](err)
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return "nothing listens there (connection refused): check the port"
	case isNet && timeout.Timeout():
		return "it does not answer in time"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return "it ends the connection before its answer is complete"
	case isOp && (op.Op == "dial" || op.Op == "read" || op.Op == "write"):
		return errnoWords(op)
	}
	return "what answers there is no HTTP server, or a proxy on the way refuses"
}

// errnoWords returns the operating system's word on a connection.
func errnoWords(op *net.OpError) string {
	if errno, ok := errors.AsType[syscall.Errno](op.Err); ok {
		return "no connection: " + errno.Error()
	}
	return "no connection"
}

// tlsWords explains why a server is not trusted, "" for an error of another kind.
func tlsWords(err error) string {
	if unknown, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		issuer := ""
		if unknown.Cert != nil {
			issuer = " by " + short(unknown.Cert.Issuer.String())
		}
		return "its certificate is issued" + issuer + ", whom this server does not trust"
	}
	if name, ok := errors.AsType[x509.HostnameError](err); ok {
		return fmt.Sprintf("its certificate is for %s, not for %s", namesOf(name.Certificate), short(name.Host))
	}
	if invalid, ok := errors.AsType[x509.CertificateInvalidError](err); ok {
		if invalid.Reason == x509.Expired {
			return fmt.Sprintf("its certificate is valid from %s to %s only: one of the clocks may be off",
				invalid.Cert.NotBefore.UTC().Format("2006-01-02 15:04"), invalid.Cert.NotAfter.UTC().Format("2006-01-02 15:04 UTC"))
		}
		return "its certificate is not valid"
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return "its certificate is not trusted"
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok || errors.Is(err, http.ErrSchemeMismatch) {
		return "it does not speak TLS there: http where https is asked for, or another port"
	}
	// What crypto/tls says by itself; nothing has been sent by then.
	if alert, ok := errors.AsType[*net.OpError](err); ok && alert.Op == "remote error" {
		return "it refuses the TLS handshake: " + short(alert.Err.Error())
	}
	if text, ok := strings.CutPrefix(err.Error(), "tls: "); ok {
		return "no TLS connection: " + short(text)
	}
	return ""
}

// namesOf lists what a certificate is for.
func namesOf(c *x509.Certificate) string {
	names := c.DNSNames
	for _, ip := range c.IPAddresses {
		names = append(names, ip.String())
	}
	if len(names) == 0 {
		return "no host"
	}
	return short(strings.Join(names, ", "))
}

// maxShown bounds what is shown of a stranger's certificate, in bytes.
const maxShown = 200

// short quotes text of a stranger's certificate.
func short(text string) string {
	if len(text) > maxShown {
		text = text[:maxShown] + "..."
	}
	return fmt.Sprintf("%q", text)
}
