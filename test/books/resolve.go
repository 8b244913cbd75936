package books

import (
	"errors"
	"time"

	"github.com/distribution/reference"

	"regcred.dev"
	"regcred.dev/imageref"
	"regcred.dev/keyring"
)

// ErrNoMatch is what Resolve says where no credential matches.
var ErrNoMatch = errors.New("no credential matches")

// Resolve returns the login that regcred itself gives for an image, expired or not.
//
// Errors: ErrNoMatch, and those of keyring.Match.Login.
func Resolve(book *keyring.Book, scope regcred.Scope, image string) (regcred.Login, error) {
	img, err := imageref.ParseImage(image)
	if err != nil {
		return regcred.Login{}, err
	}
	m, ok := book.Lookup(scope, img)
	if !ok {
		return regcred.Login{}, ErrNoMatch
	}
	return m.Login(time.Time{}, img)
}

// Spellings returns the ways to write an image that a client cannot tell apart: on
// Docker Hub, with and without the host.
func Spellings(image string) []string {
	named, err := reference.ParseNormalizedNamed(image)
	if err != nil || reference.Domain(named) != imageref.DockerHub {
		return []string{image}
	}
	return []string{reference.Path(named), named.Name()}
}
