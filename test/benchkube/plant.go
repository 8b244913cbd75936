package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"

	"regcred.dev/regcredtest/fakeecr"
	"regcred.dev/regcredtest/kubetest"
)

// The keys of the issuer's only user: those of AWS's own examples.
const (
	accessKey = "AKIAIOSFODNN7EXAMPLE"
	secretKey = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
)

// ownerLabel says who puts a Secret into a namespace: regcred, the floor, or both.
const ownerLabel = "bench"

const (
	ofRegcred = "regcred"
	ofFloor   = "floor"
	ofBoth    = "both"
)

// plant is what regcred runs at: a cluster and an issuer.
type plant struct {
	program    string
	dir        string
	kubeconfig string
	core       *kubernetes.Clientset
	metadata   metadata.Interface

	aws    *fakeecr.Server
	issuer *httptest.Server

	// namespaces are those that have Secrets of both.
	namespaces []string
	// template is what the floor writes.
	template *corev1.Secret
}

func newPlant(ctx context.Context, c *kubetest.Cluster, dir, program string) (*plant, error) {
	p := &plant{program: filepath.Join(dir, "regcred"), dir: dir, kubeconfig: filepath.Join(dir, "kubeconfig")}
	if err := copyProgram(p.program, program); err != nil {
		return nil, err
	}
	if err := kubetest.SaveKubeconfig(p.kubeconfig, c.Config()); err != nil {
		return nil, err
	}
	// As regcred's own client: protobuf, no limit.
	config := c.Config()
	config.ContentType = "application/vnd.kubernetes.protobuf"
	config.AcceptContentTypes = config.ContentType + ",application/json"
	var err error
	if p.core, err = kubernetes.NewForConfig(config); err != nil {
		return nil, err
	}
	if p.metadata, err = metadata.NewForConfig(metadata.ConfigFor(rest.CopyConfig(config))); err != nil {
		return nil, err
	}
	p.aws = fakeecr.New(fakeecr.Options{Users: map[string]fakeecr.User{
		accessKey: {ARN: "arn:aws:iam::123456789012:user/bench", Secret: secretKey},
	}})
	p.issuer = httptest.NewServer(p.aws)
	return p, ctx.Err()
}

// copyProgram writes the program anew, as the layer of an image is unpacked. Of a file
// that Go's linker has just written, Linux maps 13 MiB more than of its copy: how memory
// is laid out in the page cache is no property of the program.
func copyProgram(to, from string) (err error) {
	in, err := os.Open(from)
	if err != nil {
		return fmt.Errorf("%w: run `make build`, or say by -regcred which to measure", err)
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o700) //nolint:gosec // it is to be run
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	_, err = io.Copy(out, in)
	return err
}

func (p *plant) close() { p.issuer.Close() }

// mints returns how many logins the issuer has handed out.
func (p *plant) mints() int { return p.aws.Calls()[fakeecr.GetAuthorizationToken] }

// createNamespaces creates those with numbers from i up to n, for both.
func (p *plant) createNamespaces(ctx context.Context, i, n int) error {
	var names []string
	for ; i < n; i++ {
		names = append(names, fmt.Sprintf("bench-%05d", i))
	}
	p.namespaces = append(p.namespaces, names...)
	return byWriters(names, func(name string) error { return p.createNamespace(ctx, name, ofBoth) })
}

func (p *plant) createNamespace(ctx context.Context, name, owner string) error {
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{ownerLabel: owner}}}
	_, err := p.core.CoreV1().Namespaces().Create(ctx, ns, metav1.CreateOptions{})
	return err
}

// clear deletes the Secrets of one name in all namespaces, where there are any.
func (p *plant) clear(ctx context.Context, secret string) error {
	return byWriters(p.namespaces, func(ns string) error {
		err := p.core.CoreV1().Secrets(ns).Delete(ctx, secret, metav1.DeleteOptions{})
		if apierrors.IsNotFound(err) {
			return nil
		}
		return err
	})
}

// writers is how many requests are under way at once, as in the target's default.
const writers = 16

// byWriters calls f with each name, and returns the first error.
func byWriters(names []string, f func(name string) error) error {
	var group sync.WaitGroup
	next := make(chan string)
	failed := make(chan error, len(names))
	for range writers {
		group.Go(func() {
			for name := range next {
				if err := f(name); err != nil {
					failed <- err
				}
			}
		})
	}
	for _, name := range names {
		next <- name
	}
	close(next)
	group.Wait()
	close(failed)
	return <-failed
}
