package plugin

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"regcred.dev"
	"regcred.dev/client"
	"regcred.dev/internal/prompt"
)

// create stores a credential at the targeted scope.
func create(ctx context.Context, s *session, in invocation) error {
	location := in.args[0]
	password, err := s.password(ctx)
	if err != nil {
		return err
	}
	s.progress("Creating registry credential %s for %s", location, s.where())
	c, err := s.regcred.CreateCredential(ctx, client.CreateRequest{
		Location: location, Username: in.username, Password: password.Reveal(),
		Relationships: client.RelationshipsOf(s.scope("")),
	})
	if err != nil {
		return s.taken(ctx, location, err)
	}
	s.changed(c)
	if c.Canonical != c.Location && len(c.Warnings) == 0 {
		s.tip("%s is used for images at %s.", c.Location, c.Canonical)
	}
	return nil
}

// taken returns the error of a creation, in other words where the place is taken.
func (s *session) taken(ctx context.Context, location string, err error) error {
	if regcred.CodeOf(err) != regcred.Invalid {
		return err
	}
	if c, found, findErr := s.find(ctx, location, s.scope("")); findErr == nil && found {
		return regcred.Errorf(regcred.Exists, "Registry credential '%s' for %s already exists. Use 'cf update-%s-registry-credential' to change it.", c.Location, s.where(), shortNames[s.level])
	}
	return err
}

// update changes user name and password of a credential.
func update(ctx context.Context, s *session, in invocation) error {
	location, scope := in.args[0], s.scope("")
	password, err := s.password(ctx)
	if err != nil {
		return err
	}
	s.progress("Updating registry credential %s for %s", location, s.where())
	c, found, err := s.find(ctx, location, scope)
	if err != nil {
		return err
	}
	if !found {
		return regcred.Errorf(regcred.NotFound, "Registry credential '%s' for %s not found.", location, s.where())
	}
	plain := password.Reveal()
	req := client.UpdateRequest{Password: &plain}
	if in.username != "" {
		req.Username = &in.username
	}
	updated, err := s.regcred.UpdateCredential(ctx, c.GUID, req, client.UpdateOptions{})
	if err != nil {
		return err
	}
	s.changed(updated)
	return nil
}

// changed says that a credential is stored, and what is to be known of that.
func (s *session) changed(c client.Credential) {
	if c.Login != nil && c.Login.Problem != "" {
		fmt.Fprintf(s.Stderr, "It cannot be used yet: %s\n", c.Login.Problem)
	}
	s.ok()
	for _, warning := range c.Warnings {
		s.tip("%s", capital(sentence(warning)))
	}
}

// remove deletes a credential. One that does not exist is no error, as with the
// delete commands of the CLI.
func remove(ctx context.Context, s *session, in invocation) error {
	location, app, where := in.args[0], "", s.where()
	if s.level == regcred.LevelApp {
		var err error
		if app, err = s.capi.app(ctx, in.args[1], s.space.Guid); err != nil {
			return err
		}
		if app == "" {
			return regcred.Errorf(regcred.NotFound, "App '%s' not found.", in.args[1])
		}
		where = "app " + in.args[1] + " in " + where
	}
	if !in.force {
		sure, err := s.confirm(ctx, fmt.Sprintf("Really delete the registry credential %s for %s?", location, where))
		if err != nil {
			return err
		}
		if !sure {
			fmt.Fprintf(s.Stdout, "Registry credential '%s' has not been deleted.\n", location)
			return nil
		}
	}
	s.progress("Deleting registry credential %s for %s", location, where)
	c, found, err := s.find(ctx, location, s.scope(app))
	if err != nil {
		return err
	}
	if !found {
		fmt.Fprintf(s.Stderr, "Registry credential '%s' does not exist.\n", location)
		s.ok()
		return nil
	}
	if err := s.regcred.DeleteCredential(ctx, c.GUID); err != nil && regcred.CodeOf(err) != regcred.NotFound {
		return err
	}
	s.ok()
	s.tip("Apps that were pushed with this registry credential fail to stage and start in the future, unless other registry credentials are available to them.")
	return nil
}

// maxAnswer bounds what is read of an answer, in bytes.
const maxAnswer = 1 << 10

// confirm asks a question; only yes is yes. Errors: ctx's, where the user interrupts it;
// those of reading.
func (s *session) confirm(ctx context.Context, question string) (bool, error) {
	fmt.Fprintf(s.Stdout, "%s [yN]: ", question)
	type line struct {
		text string
		err  error
	}
	answered := make(chan line, 1)
	go func() {
		text, err := bufio.NewReader(io.LimitReader(s.Stdin, maxAnswer)).ReadString('\n')
		answered <- line{text, err}
	}()
	var got line
	select {
	case got = <-answered:
	case <-ctx.Done():
		return false, ctx.Err()
	}
	ended := errors.Is(got.err, io.EOF)
	if !s.Terminal || ended {
		fmt.Fprintln(s.Stdout)
	}
	if got.err != nil && !ended {
		return false, got.err
	}
	answer := strings.ToLower(strings.TrimSpace(got.text))
	return answer == "y" || answer == "yes", nil
}

// password returns the password of a registry: from the environment, else it is
// asked for. The CLI's own words, of `cf push --docker-username`.
func (s *session) password(ctx context.Context) (regcred.Secret, error) {
	if value := s.Getenv("CF_DOCKER_PASSWORD"); value != "" {
		fmt.Fprintln(s.Stdout, "Using docker repository password from environment variable CF_DOCKER_PASSWORD.")
		return regcred.NewSecret(value), nil
	}
	fmt.Fprintln(s.Stdout, "Environment variable CF_DOCKER_PASSWORD not set.")
	tty, ok := s.Stdin.(*os.File)
	if !ok || !s.Terminal {
		return regcred.Secret{}, regcred.Errorf(regcred.Invalid, "There is no terminal to ask for the password at: set CF_DOCKER_PASSWORD.")
	}
	value, err := prompt.Password(ctx, tty, s.Stdout, "Docker password: ")
	if err == nil && value == "" {
		err = regcred.Errorf(regcred.Invalid, "The password is empty.")
	}
	return regcred.NewSecret(value), err
}
