package service

import (
	"context"
	"strings"
	"time"

	"regcred.dev"
	"regcred.dev/imageref"
	"regcred.dev/keyring"
)

// ImageLogin is what a kubelet gets for an image.
type ImageLogin struct {
	Image imageref.Image
	// Login is nil where no credential matches: the image may be public.
	Login *regcred.Login
	// WholeHost says that every image of the host has this login at the caller's scope.
	WholeHost bool
}

// KubeletLogin returns the login, in clear, of the credential that an image resolves
// to at the caller's own scope: for workloads, targets and admins. One that is missing
// or has expired is minted.
//
// The image is as the kubelet writes it: those of Docker Hub have docker.io in front,
// whether or not their user wrote it. Where that makes a difference there is no login.
//
// Errors: Denied; Invalid; Unavailable where the credential has no login and none can
// be minted; Corrupt.
func (s *Service) KubeletLogin(ctx context.Context, caller regcred.Caller, image string) (ImageLogin, error) {
	if caller.Role != regcred.RoleWorkload && caller.Role != regcred.RoleTarget {
		if !caller.IsAdmin() {
			return ImageLogin{}, s.deny(ctx, caller, act{operation: "release login", scope: caller.Scope, detail: "of an image"})
		}
	}
	img, err := imageref.ParseImage(image)
	if err != nil {
		return ImageLogin{}, regcred.Errorf(regcred.Invalid, "%w", err)
	}
	book := s.o.Books.Now()
	out := ImageLogin{Image: img, WholeHost: book.Keyring(caller.Scope).WholeHost(img.Host())}
	match, err := onlyMatch(book, caller.Scope, img)
	if err != nil || match.Entry == nil {
		return out, err
	}
	login, err := s.matchLogin(ctx, match, img)
	if err != nil {
		return ImageLogin{}, err
	}
	if err := s.allow(ctx, caller, act{
		operation: "release login", scope: caller.Scope, location: match.Location.String(), guid: match.Entry.GUID, detail: "for " + img.Name(),
	}); err != nil {
		return ImageLogin{}, err
	}
	out.Login = &login
	s.o.Log.InfoContext(ctx, "logins released", "image", img.Name(), "guid", match.Entry.GUID, "scope", caller.Scope.String(), "caller", caller)
	return out, nil
}

// onlyMatch looks an image up that a kubelet names, which says docker.io/acme/app for
// acme/app too. Errors: Invalid where the two resolve to different credentials.
func onlyMatch(book *keyring.Book, scope regcred.Scope, img imageref.Image) (keyring.Match, error) {
	match, _ := book.Lookup(scope, img)
	if img.Host() != imageref.DockerHub {
		return match, nil
	}
	for _, spelling := range []string{img.Path(), imageref.DockerHub + "/" + img.Path()} {
		same, err := imageref.ParseImage(spelling)
		if err != nil || same.Name() != img.Name() {
			continue // a path that reads like a host is never written without one
		}
		if other, _ := book.Lookup(scope, same); other.Entry != match.Entry {
			return keyring.Match{}, regcred.Errorf(regcred.Invalid, "the kubelet does not tell %s from %s, and at scope %s the two have different credentials: store them at one location", strings.TrimPrefix(img.Name(), imageref.DockerHub+"/"), img.Name(), scope)
		}
	}
	return match, nil
}

// matchLogin returns a match's login; it has one minted where there is none that is
// valid. What the provider says of a failure is for those who may see the status.
func (s *Service) matchLogin(ctx context.Context, match keyring.Match, img imageref.Image) (regcred.Login, error) {
	login, missing := match.Login(time.Now(), img)
	if regcred.CodeOf(missing) != regcred.Unavailable {
		return login, missing
	}
	limited, cancel := context.WithTimeout(ctx, mintTimeout)
	defer cancel()
	login, err := s.o.Refresher.Ensure(limited, match.Entry.GUID)
	if err != nil {
		return regcred.Login{}, missing
	}
	minted := *match.Entry
	minted.Login = &login
	return keyring.Match{Entry: &minted, Location: match.Location}.Login(time.Now(), img)
}
