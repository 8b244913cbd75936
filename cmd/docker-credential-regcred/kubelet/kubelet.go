// Package kubelet is a credential provider plugin of the kubelet: it is asked for the
// login of each image that is pulled, and asks regcred's server.
//
// The kubelet starts it as CredentialProviderConfig says, and speaks the protocol
// credentialprovider.kubelet.k8s.io/v1 on standard input and output. Where the
// configuration has tokenAttributes, the request has a service account token of the
// pod (KEP-4412), which is passed on: the server verifies it and derives the scope
// from its namespace. Else an API token of the role target says for whom the node asks.
package kubelet

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/netip"
	"net/url"
	"os"
	"os/signal"
	"strings"
	"time"

	"regcred.dev"
	"regcred.dev/client"
)

const (
	// maxInput bounds a request, and a token's file, in bytes.
	maxInput = 1 << 20
	// timeout is how long the server is waited for. The kubelet ends a plugin after a
	// minute, and a mint may take the server 20 seconds.
	timeout = 40 * time.Second
	// defaultCache is how long the kubelet keeps a login unless told otherwise: so long
	// one that was revoked may still be used.
	defaultCache = 5 * time.Minute
)

// Program is the plugin in its surroundings.
type Program struct {
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	Getenv         func(string) string
}

// System returns the Program of this process.
func System() *Program {
	return &Program{Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Getenv: os.Getenv}
}

// Main answers one request and returns the exit code.
func (p *Program) Main(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	return p.Run(ctx, args)
}

// Run is Main without signals. An error is one line on standard error, which the
// kubelet writes to its log.
func (p *Program) Run(ctx context.Context, args []string) int {
	o, err := p.options(args)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	var answer []byte
	if err == nil {
		answer, err = p.answer(ctx, o)
	}
	if err == nil {
		_, err = p.Stdout.Write(append(answer, '\n'))
	}
	if err != nil {
		fmt.Fprintln(p.Stderr, "regcred: "+strings.Join(strings.Fields(err.Error()), " "))
		return 1
	}
	return 0
}

// options are what the plugin is started with.
type options struct {
	server    string
	ca        string
	tokenFile string
	token     regcred.Secret
	cache     time.Duration
}

// options reads the arguments; what they leave out is in the environment.
func (p *Program) options(args []string) (options, error) {
	o := options{token: regcred.NewSecret(strings.TrimSpace(p.Getenv("REGCRED_TOKEN")))}
	flags := flag.NewFlagSet("docker-credential-regcred kubelet", flag.ContinueOnError)
	var usage bytes.Buffer
	flags.SetOutput(&usage)
	flags.StringVar(&o.server, "server", p.Getenv("REGCRED_SERVER"), "the server: https://HOST[:PORT], or unix:///PATH of its socket ($REGCRED_SERVER)")
	flags.StringVar(&o.ca, "ca", p.Getenv("REGCRED_CA"), "`FILE` with the certificates that the server's is signed by, in place of the system's ($REGCRED_CA)")
	flags.StringVar(&o.tokenFile, "token-file", p.Getenv("REGCRED_TOKEN_FILE"), "`FILE` with an API token of the role target, for requests without a service account token ($REGCRED_TOKEN_FILE, or $REGCRED_TOKEN itself)")
	flags.DurationVar(&o.cache, "cache", defaultCache, "how long the kubelet may keep a login at most")
	err := flags.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprint(p.Stderr, usage.String())
		return o, err
	case err != nil:
		return o, regcred.Errorf(regcred.Invalid, "%w: see docker-credential-regcred kubelet --help", err)
	case flags.NArg() > 0:
		return o, regcred.Errorf(regcred.Invalid, "unexpected argument %.100q: see docker-credential-regcred kubelet --help", flags.Arg(0))
	case o.server == "":
		return o, regcred.Errorf(regcred.Invalid, "say where the server is: --server https://HOST[:PORT], or REGCRED_SERVER")
	case o.cache < 0:
		return o, regcred.Errorf(regcred.Invalid, "--cache %s: write a duration such as 5m, or 0 for none", o.cache)
	}
	return o, nil
}

// answer reads a request from standard input and returns the response.
func (p *Program) answer(ctx context.Context, o options) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(p.Stdin, maxInput))
	if err != nil {
		return nil, err
	}
	in, err := parseRequest(data)
	if err != nil {
		return nil, err
	}
	c, err := o.connect(in)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	found, err := c.KubeletLogin(ctx, in.Image)
	if err != nil {
		return nil, err
	}
	out, err := respond(in.Image, found, o.cache)
	if err != nil {
		return nil, err
	}
	return json.Marshal(out)
}

// connect returns a client that asks for the pod of a request, or else for the node.
func (o options) connect(in request) (*client.Client, error) {
	token := regcred.NewSecret(in.ServiceAccountToken)
	if token.IsZero() {
		var err error
		if token, err = o.nodeToken(); err != nil {
			return nil, err
		}
	}
	if path, ok := strings.CutPrefix(o.server, "unix://"); ok {
		return client.NewLocal(path).WithToken(token), nil
	}
	if token.IsZero() {
		return nil, regcred.Errorf(regcred.Invalid, "the kubelet sends no service account token: set tokenAttributes in CredentialProviderConfig, or give the node an API token with --token-file")
	}
	if !private(o.server) {
		return nil, regcred.Errorf(regcred.Invalid, "--server %.200q: the login would cross the network in clear: write https://HOST[:PORT]", o.server)
	}
	c, err := client.New(o.server, token)
	if err != nil || o.ca == "" {
		return c, err
	}
	pool, err := readCA(o.ca)
	if err != nil {
		return nil, err
	}
	return c.WithCAs(pool), nil
}

// nodeToken returns the API token of the node, zero where it has none.
func (o options) nodeToken() (regcred.Secret, error) {
	if o.tokenFile == "" {
		return o.token, nil
	}
	f, err := os.Open(o.tokenFile)
	if err != nil {
		return regcred.Secret{}, regcred.Errorf(regcred.Invalid, "the node's token: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxInput))
	token := strings.TrimSpace(string(data))
	if err != nil || token == "" {
		return regcred.Secret{}, regcred.Errorf(regcred.Invalid, "the node's token: %s holds none", o.tokenFile)
	}
	return regcred.NewSecret(token), nil
}

// private reports whether nobody between here and the server reads along: over TLS,
// or on this machine. What is no URL is left to the client to refuse.
func private(server string) bool {
	u, err := url.Parse(server)
	if err != nil || u.Scheme != "http" {
		return true
	}
	addr, err := netip.ParseAddr(u.Hostname())
	return u.Hostname() == "localhost" || err == nil && addr.IsLoopback()
}

func readCA(path string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(path)
	if err != nil {
		return nil, regcred.Errorf(regcred.Invalid, "--ca: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, regcred.Errorf(regcred.Invalid, "--ca: %s holds no certificate in PEM", path)
	}
	return pool, nil
}
